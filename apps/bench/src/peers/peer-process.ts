import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { gpuEnvironment } from '@saccade/gpu-runner';
import { PeerError, PeerTimeoutError } from './errors.ts';
import { installPeer } from './install.ts';
import type { Reply, Request } from './messages.ts';
import type { Peer } from './peers.ts';
import type { Implementation, PreparedWork } from './runner.ts';
import type { Work } from './work.ts';

/** An engine opens its device within this time. */
const startSeconds = 120;

/** Whole models load, and read a prompt before they decode: they are given so many times as long. llama.cpp's Vulkan needs minutes for a prompt on a software adapter. */
const modelFactor = 20;

/**
 * A peer in a process of its own: engines bring their own Dawn, and some never let a process end. Where one does not answer
 * in time, its process is ended, and the next work starts another.
 */
export class PeerProcess implements Implementation {
  readonly description: string;
  readonly #name: string;
  readonly #launch: () => Promise<{ readonly child: ChildProcess; readonly description: string }>;
  readonly #limitSeconds: number;
  #child: ChildProcess | undefined;

  private constructor(
    name: string,
    launch: () => Promise<{ readonly child: ChildProcess; readonly description: string }>,
    limitSeconds: number,
    first: { readonly child: ChildProcess; readonly description: string },
  ) {
    this.#name = name;
    this.#launch = launch;
    this.#limitSeconds = limitSeconds;
    this.#child = first.child;
    this.description = first.description;
  }

  /**
   * @param limitSeconds Longest that preparing a work and each run may take; of whole models six times as long.
   * @throws PeerInstallError, PeerError
   */
  static async start(peer: Peer, limitSeconds: number, log: (line: string) => void): Promise<PeerProcess> {
    const { loader, node } = await installPeer(peer, log);
    const environment = { ...process.env, ...(await gpuEnvironment()), ...peer.environment };
    const launch = async () => {
      const main = fileURLToPath(new URL('./worker/main.ts', import.meta.url));
      const loading = ['--conditions=@saccade/source', '--import', import.meta.resolve('tsx')];
      const child = spawn(
        node,
        [...loading, '--disable-warning=ExperimentalWarning', main, peer.worker, loader, peer.device ?? ''],
        { env: environment, stdio: ['ignore', 'ignore', 'ignore', 'ipc'], serialization: 'advanced' },
      );
      try {
        const ready = await nextReply(peer.name, child, startSeconds);
        if (ready.kind !== 'ready') throw new PeerError(peer.name, ready.kind === 'error' ? ready.message : ready.kind);
        return { child, description: ready.description };
      } catch (error) {
        child.kill('SIGKILL');
        throw error;
      }
    };
    return new PeerProcess(peer.name, launch, limitSeconds, await launch());
  }

  async prepare(work: Work): Promise<PreparedWork> {
    if (!this.#child || this.#child.exitCode !== null || this.#child.signalCode !== null) {
      this.#child = (await this.#launch()).child;
    }
    const child = this.#child;
    const limit = this.#limitSeconds * (work.kind === 'model' ? modelFactor : 1);
    const ask = (request: Request) => this.#ask(child, request, limit);
    await ask({ kind: 'prepare', work });
    return {
      run: async () => (await ask({ kind: 'run' })) as number,
      output: async () => (await ask({ kind: 'output' })) as ArrayLike<number>,
      dispose: async () => {
        if (this.#child !== child) return;
        // What fails here is no one's result; the next work gets a process that answers.
        await ask({ kind: 'dispose' }).catch(() => this.stop());
      },
    };
  }

  stop(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }

  async #ask(
    child: ChildProcess,
    request: Request,
    limitSeconds: number,
  ): Promise<number | ArrayLike<number> | undefined> {
    if (this.#child !== child) throw new PeerError(this.#name, 'its process has ended');
    const reply = nextReply(this.#name, child, limitSeconds);
    child.send(request, () => undefined);
    const answer = await reply.catch((error) => {
      this.stop();
      throw error;
    });
    if (answer.kind === 'error') throw new PeerError(this.#name, answer.message);
    return answer.kind === 'done' ? answer.value : undefined;
  }
}

function nextReply(name: string, child: ChildProcess, limitSeconds: number): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      clearTimeout(timer);
      child.off('message', onMessage);
      child.off('exit', onExit);
      child.off('error', onError);
      act();
    };
    const fail = (error: PeerError) => settle(() => reject(error));
    const onMessage = (message: unknown) => settle(() => resolve(message as Reply));
    const onExit = (code: number | null, signal: string | null) =>
      fail(new PeerError(name, `the process ended (${signal ?? `exit code ${code}`})`));
    const onError = (error: Error) => fail(new PeerError(name, error.message));
    const timer = setTimeout(() => fail(new PeerTimeoutError(name, limitSeconds)), 1000 * limitSeconds);
    child.once('message', onMessage);
    child.once('exit', onExit);
    child.once('error', onError);
  });
}
