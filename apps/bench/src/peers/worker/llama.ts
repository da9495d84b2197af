import { availableParallelism } from 'node:os';
import { comparedTokens, promptSentence, timed } from '../runner.ts';
import type { OpenPeer } from './main.ts';

type Token = number;

interface Sequence {
  clearHistory(): Promise<void>;
  eraseContextTokenRanges(ranges: readonly { start: number; end: number }[]): Promise<void>;
  evaluateWithoutGeneratingNewTokens(tokens: readonly Token[]): Promise<void>;
  evaluate(tokens: readonly Token[], options: { readonly temperature: number }): AsyncIterable<Token>;
}

interface Llama {
  readonly gpu: string | false;
  getGpuDeviceNames(): Promise<readonly string[]>;
  loadModel(options: { readonly modelPath: string; readonly gpuLayers: number | 'max' }): Promise<{
    readonly gpuLayers: number;
    tokenize(text: string): Token[];
    createContext(options: {
      readonly contextSize: number;
      readonly batchSize: number;
      readonly threads: number;
    }): Promise<{ getSequence(): Sequence }>;
    dispose(): Promise<void>;
  }>;
}

interface NodeLlamaCpp {
  getLlama(options: object): Promise<Llama>;
}

/** llama.cpp through node-llama-cpp, with its Vulkan or its CPU backend. */
export const open: OpenPeer = async (load, device) => {
  const { getLlama } = (await load('node-llama-cpp')) as NodeLlamaCpp;
  const gpu = device === 'cpu' ? false : device;
  const llama = await getLlama({ gpu, build: 'never', logLevel: 'error' });
  if (llama.gpu !== gpu) throw new Error(`takes ${llama.gpu || 'the processor'} instead of ${device}`);
  // Without a device that it accepts the Vulkan build computes on the processor, and says so nowhere else.
  const names = gpu ? await llama.getGpuDeviceNames() : [];
  if (gpu && names.length === 0) throw new Error(`finds no ${device} device that it accepts`);
  return {
    description: `node-llama-cpp, ${[device, ...names].join(', ')}`,
    prepare: async (work) => {
      if (work.kind !== 'model') throw new Error('compares whole models only');
      const model = await llama.loadModel({ modelPath: work.file, gpuLayers: gpu ? 'max' : 0 });
      if (gpu && model.gpuLayers === 0) throw new Error(`leaves all layers to the processor instead of ${device}`);
      const context = await model.createContext({
        contextSize: work.context + 64,
        batchSize: 512,
        threads: availableParallelism(),
      });
      const sequence = context.getSequence();
      const text = promptSentence.repeat(Math.ceil(work.context / 8));
      const tokens = model.tokenize(text).slice(0, work.context);
      const last = tokens.at(-1) as Token;
      const prompt = async () => {
        await sequence.clearHistory();
        await sequence.evaluateWithoutGeneratingNewTokens(tokens);
      };
      const take = async (ids: readonly Token[], count: number) => {
        const taken: Token[] = [];
        for await (const token of sequence.evaluate(ids, { temperature: 0 })) {
          taken.push(token);
          if (taken.length === count) break;
        }
        return taken;
      };
      /** Greedy tokens behind the prompt, whose rows are there already. */
      const goOn = async (count: number) => {
        await sequence.eraseContextTokenRanges([{ start: tokens.length - 1, end: tokens.length + 64 }]);
        return await take([last], count);
      };
      const decode = async () => {
        const count = 4;
        return (await timed(() => goOn(count))) / count;
      };
      if (work.phase === 'decode') await prompt();
      return {
        run: () => (work.phase === 'decode' ? decode() : timed(prompt)),
        output: () => goOn(comparedTokens),
        dispose: () => model.dispose(),
      };
    },
  };
};
