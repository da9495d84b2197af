import { tidalDecode } from '@saccade/tidaldecode';
import { evaluationText } from '../data/text.ts';
import type { ModelEntry } from '../model-entry.ts';
import { persuasionBytes } from '../models/persuasion-bytes.ts';
import { smollm2 } from '../models/smollm2.ts';
import type { Demonstration } from './demonstration.ts';

/** What the main job does on one model. */
export interface MainJob {
  readonly model: ModelEntry;
  readonly scenarios: readonly string[];
  /** `name:key=value,...` for methods whose defaults do not suit the model. */
  readonly methods: readonly string[];
  readonly demonstration: () => Demonstration;
  /** What a reader must know before the numbers. */
  readonly notice?: string;
}

/** What is asked about the page; the page says it once. */
const question = "What is the name of Sir Walter's wife? Answer in one sentence.";

/** The job as it should be: a chat model answers a question about a page. */
export const mainJob: MainJob = {
  model: smollm2,
  scenarios: ['language/perplexity', 'language/needle', 'language/decode', 'attention/decode'],
  methods: [],
  demonstration: () => ({
    introduction: (tokens) => `A page of Jane Austen (${tokens} tokens) and the question: ${question}`,
    prompt: [{ role: 'user', content: `${evaluationText().slice(0, 1600)}\n\n${question}` }],
    answerTokens: 48,
    temperature: 0,
    // The passage is several times as long.
    method: {
      title: 'tidaldecode: heads of sparse layers read 128 tokens',
      create: () => tidalDecode({ topK: 128 }),
    },
  }),
};

/** Half a page; what the byte model writes behind it must fit into its context, too. */
const pageBytes = 800;

/**
 * The same job where the chat model cannot be had: a byte model that ships with the workspace goes on with a page. It finds
 * no needles, so it is not asked for any. Of its eight layers TidalDecode keeps the first dense and selects in the second and
 * the fifth.
 */
export const fallbackJob: MainJob = {
  model: persuasionBytes,
  scenarios: ['language/perplexity', 'language/decode', 'attention/decode'],
  methods: ['tidaldecode:sparseLayerStart=1,reselectionLayers=4'],
  demonstration: () => ({
    introduction: (tokens) => `Half a page of Jane Austen (${tokens} bytes), and how the byte model goes on:`,
    prompt: evaluationText().slice(0, pageBytes),
    answerTokens: 160,
    // Greedily it soon says the same again and again.
    temperature: 0.5,
    method: {
      title: 'tidaldecode: heads of sparse layers read 128 bytes',
      create: () => tidalDecode({ topK: 128, sparseLayerStart: 1, reselectionLayers: [4] }),
    },
  }),
  notice:
    `${smollm2.title} could not be had, so this is a run on ${persuasionBytes.name}: ${persuasionBytes.description} ` +
    'It shows how the methods work on a small model; none of its numbers is one of the larger model, and needles in a haystack are left out.',
};
