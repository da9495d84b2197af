import {
  ArgumentError,
  type ChatMessage,
  EncodedPrompt,
  type ImageInput,
  type ImageMessage,
  type ImagePrompt,
  type Prompt,
  type PromptCache,
  type Tensor,
} from '@saccade/core';
import type { Architecture } from '../architectures/architecture.ts';
import { pooledBytes } from '../architectures/pooled-bytes.ts';
import { loadImage } from '../images/load-image.ts';
import { LanguageModel } from '../language-model/language-model.ts';
import type { ModelLicence } from '../resolve/licence.ts';
import type { Tokenizer } from '../tokenizer/types.ts';
import { axisPositions } from './axis-positions.ts';
import { imageToken, placeImages } from './place-images.ts';
import { type RenderedPrompt, renderedPrompt, renderPrompt } from './render-prompt.ts';
import type { PreparedImage, VisionEncoder } from './vision-encoder.ts';
import type { VisionLanguageConfig } from './vision-language-config.ts';

/** What a model that sees is made of, beside its language model. */
export interface VisionParts {
  readonly config: VisionLanguageConfig;
  readonly encoder: VisionEncoder;
  /** Weights of the encoder; the model frees them. */
  readonly weights: readonly Tensor[];
  readonly licence?: ModelLicence | undefined;
  /** Most pixels of an image that is decoded. */
  readonly maximumPixels?: number | undefined;
}

/**
 * A language model that sees images. Prompts are those of a {@link LanguageModel}, or images with a text (`{ images, text }`);
 * what stands where in a prompt is told to methods (`spans`). Made by {@link loadVisionLanguageModel}.
 */
export class VisionLanguageModel extends LanguageModel {
  readonly #parts: VisionParts;

  constructor(network: Architecture, tokenizer: Tokenizer, parts: VisionParts) {
    const features = [...(network.facts.features ?? []), 'imageSpans'];
    const facts = { ...network.facts, architecture: parts.config.architecture, features };
    super(network, tokenizer, { licence: parts.licence, facts });
    this.#parts = parts;
  }

  /**
   * A prompt as the model runs it: images are seen (on the GPU) and placed, and spans are known unless token ids were given. The
   * caller disposes it; several runs may share it.
   *
   * @throws ImageError for an image that cannot be used; ArgumentError where the prompt has other places for images than there
   *   are images; TokenizerError without a chat template (give `rendered` text)
   */
  override async encode(prompt: Exclude<Prompt, PromptCache>): Promise<EncodedPrompt> {
    if (prompt instanceof EncodedPrompt || isIds(prompt)) return super.encode(prompt);
    if (typeof prompt === 'string') return this.#encode(renderedPrompt(prompt, undefined, this.#imageToken), []);
    if (isMessages(prompt)) return this.#encode(this.#render(prompt), []);
    const { images = [] } = prompt;
    return this.#encode(this.#renderImages(prompt, images.length), images);
  }

  override encodePrompt(prompt: string | readonly ChatMessage[] | readonly number[]): number[] {
    if (!isMessages(prompt)) return super.encodePrompt(prompt);
    return [...placeImages(this.tokenizer, this.#parts.config, this.#render(prompt), []).ids];
  }

  /**
   * An image as the decoder reads it, f32 [tokens, hiddenSize]. The caller disposes the tensor.
   *
   * @throws ImageError for an image that cannot be used
   */
  async imageFeatures(image: ImageInput): Promise<Tensor> {
    return this.#parts.encoder.encode([await this.#prepare(image)]);
  }

  override get weightBytes(): number {
    return this.#parts.weights.reduce((sum, tensor) => sum + this.gpu.bytesOf(tensor), super.weightBytes);
  }

  protected override get residentBytes(): number {
    return this.#parts.weights.reduce((sum, tensor) => sum + pooledBytes(tensor), super.residentBytes);
  }

  override dispose(): void {
    super.dispose();
    for (const tensor of this.#parts.weights) tensor.dispose();
  }

  get #imageToken(): string {
    return imageToken(this.tokenizer, this.#parts.config);
  }

  #render(messages: readonly ImageMessage[]): RenderedPrompt {
    return renderPrompt(this.tokenizer, messages, this.#imageToken);
  }

  #renderImages(prompt: ImagePrompt, images: number): RenderedPrompt {
    if (prompt.rendered !== undefined) return renderedPrompt(prompt.rendered, prompt.question, this.#imageToken);
    if (prompt.messages !== undefined) return this.#render(prompt.messages);
    if (typeof prompt.text !== 'string') {
      throw new ArgumentError('prompt', prompt, 'images with one of text, messages and rendered');
    }
    const content = [
      ...Array.from({ length: images }, () => ({ type: 'image' as const })),
      { type: 'text' as const, text: prompt.text },
    ];
    const system = prompt.system === undefined ? [] : [{ role: 'system', content: prompt.system }];
    return this.#render([...system, { role: 'user', content }]);
  }

  async #prepare(image: ImageInput): Promise<PreparedImage> {
    const { encoder, maximumPixels } = this.#parts;
    return encoder.prepare(await loadImage(image, { maximumPixels }));
  }

  async #encode(rendered: RenderedPrompt, images: readonly ImageInput[]): Promise<EncodedPrompt> {
    const { config, encoder } = this.#parts;
    const prepared = await Promise.all(images.map((image) => this.#prepare(image)));
    const tokens = prepared.map((image) => image.tokens);
    const { ids, spans, imagePositions } = placeImages(this.tokenizer, config, rendered, tokens);
    const { positions } = config.text;
    const rotary = positions.kind === 'rotary' && positions.sections ? axisPositions(spans) : undefined;
    const features = prepared.length > 0 ? { positions: imagePositions, rows: encoder.encode(prepared) } : undefined;
    return new EncodedPrompt(ids, { spans, ...(rotary ? { rotary } : {}), ...(features ? { features } : {}) });
  }
}

function isIds(prompt: unknown): prompt is readonly number[] {
  return Array.isArray(prompt) && (prompt.length === 0 || typeof prompt[0] === 'number');
}

function isMessages(prompt: unknown): prompt is readonly ChatMessage[] {
  return Array.isArray(prompt) && typeof prompt[0] === 'object';
}
