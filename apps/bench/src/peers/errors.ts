import { SaccadeError } from '@saccade/core';

/** A peer refused a work, failed at it, or ended. */
export class PeerError extends SaccadeError {
  constructor(peer: string, message: string) {
    super('peer', `${peer}: ${message}`);
  }
}

/** A peer took longer than it is given. */
export class PeerTimeoutError extends PeerError {
  constructor(peer: string, seconds: number) {
    super(peer, `no answer within ${seconds} s`);
  }
}
