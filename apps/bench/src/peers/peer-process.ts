import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { SaccadeError } from '@saccade/core';
import { gpuEnvironment } from '@saccade/gpu-runner';
import { installPeer } from './install.ts';
import type { Reply, Request } from './messages.ts';
import type { Peer } from './peers.ts';
import type { Implementation, PreparedWork } from './runner.ts';
import type { Work } from './work.ts';

/** A peer refused a work, failed at it, or ended. */
export class PeerError extends SaccadeError {
  constructor(peer: string, message: string) {
    super('peer', `${peer}: ${message}`);
  }
}

/** A peer does not answer for longer than this. */
const patienceMs = 300_000;

/** A peer in a process of its own: engines bring their own Dawn, and some never let a process end. */
export class PeerProcess implements Implementation {
  readonly description: string;
  readonly #name: string;
  readonly #child: ChildProcess;
  #failure: PeerError | undefined;

  private constructor(name: string, child: ChildProcess, description: string) {
    this.#name = name;
    this.#child = child;
    this.description = description;
    child.once('exit', (code, signal) => {
      this.#failure = new PeerError(name, `the process ended (${signal ?? `exit code ${code}`})`);
    });
  }

  /** @throws PeerInstallError, PeerError */
  static async start(peer: Peer, log: (line: string) => void): Promise<PeerProcess> {
    const { loader, node } = await installPeer(peer, log);
    const main = fileURLToPath(new URL('./worker/main.ts', import.meta.url));
    const child = spawn(
      node,
      [
        '--conditions=@saccade/source',
        '--import',
        import.meta.resolve('tsx'),
        '--disable-warning=ExperimentalWarning',
        main,
        peer.worker,
        loader,
        peer.device ?? '',
      ],
      {
        env: { ...process.env, ...(await gpuEnvironment()) },
        stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
        serialization: 'advanced',
      },
    );
    try {
      const ready = await nextReply(peer.name, child);
      if (ready.kind !== 'ready') throw new PeerError(peer.name, ready.kind === 'error' ? ready.message : ready.kind);
      return new PeerProcess(peer.name, child, ready.description);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  async prepare(work: Work): Promise<PreparedWork> {
    await this.#ask({ kind: 'prepare', work });
    return {
      run: async () => (await this.#ask({ kind: 'run' })) as number,
      output: async () => (await this.#ask({ kind: 'output' })) as ArrayLike<number>,
      dispose: async () => {
        if (!this.#failure) await this.#ask({ kind: 'dispose' });
      },
    };
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }

  async #ask(request: Request): Promise<number | ArrayLike<number> | undefined> {
    if (this.#failure) throw this.#failure;
    const reply = nextReply(this.#name, this.#child);
    this.#child.send(request);
    const answer = await reply;
    if (answer.kind === 'error') throw new PeerError(this.#name, answer.message);
    return answer.kind === 'done' ? answer.value : undefined;
  }
}

function nextReply(name: string, child: ChildProcess): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      clearTimeout(timer);
      child.off('message', onMessage);
      child.off('exit', onExit);
      child.off('error', onError);
      act();
    };
    const fail = (message: string) => settle(() => reject(new PeerError(name, message)));
    const onMessage = (message: unknown) => settle(() => resolve(message as Reply));
    const onExit = (code: number | null, signal: string | null) =>
      fail(`the process ended (${signal ?? `exit code ${code}`})`);
    const onError = (error: Error) => fail(error.message);
    const timer = setTimeout(() => fail(`no answer for ${patienceMs / 1000} s`), patienceMs);
    child.once('message', onMessage);
    child.once('exit', onExit);
    child.once('error', onError);
  });
}
