import { ArgumentError, type ChatMessage, type ModelFacts, RefusedError } from '@saccade/core';
import type { Architecture } from '../architectures/architecture.ts';
import { LanguageModel } from '../language-model/language-model.ts';
import type { ModelLicence } from '../resolve/licence.ts';
import type { Tokenizer } from '../tokenizer/types.ts';
import type { MaskedDiffusionConfig } from '../weights/model-config.ts';
import { denoise } from './denoise.ts';
import { type DenoisedText, type DenoiseOptions, denoisingSettings } from './options.ts';

/** A language model that writes by filling in masked tokens, on the GPU. Made by {@link loadMaskedDiffusionModel}. */
export class MaskedDiffusionModel extends LanguageModel {
  /** The id that stands for a masked token. */
  readonly maskId: number;
  /** Which token a position's logits are of. */
  readonly logitsOf: MaskedDiffusionConfig['logits'];
  readonly #network: Architecture;
  readonly #config: MaskedDiffusionConfig;

  constructor(
    network: Architecture,
    tokenizer: Tokenizer,
    config: MaskedDiffusionConfig,
    about: { readonly licence?: ModelLicence | undefined; readonly facts?: ModelFacts } = {},
  ) {
    super(network, tokenizer, about);
    this.maskId = config.maskId;
    this.logitsOf = config.logits;
    this.#network = network;
    this.#config = config;
  }

  /**
   * Writes tokens behind a prompt. All tokens are computed anew in each step: methods act in the phase `denoise` and find the
   * step and the prompt's length in `context.step`. With guidance, both branches run as one batch of two.
   *
   * @param prompt Text, a conversation or token ids. Empty text, where the model's logits are those of a position's own token.
   * @throws ArgumentError for an option out of its range; RefusedError for a method that does not fit
   */
  async denoise(
    prompt: string | readonly ChatMessage[] | readonly number[],
    options: DenoiseOptions = {},
  ): Promise<DenoisedText> {
    const given = this.encodePrompt(prompt);
    if (given.length === 0 && this.logitsOf === 'next') {
      throw new ArgumentError('denoise: prompt', 'no tokens', 'at least one token');
    }
    for (const id of given) {
      if (Number.isInteger(id) && id >= 0 && id < this.facts.vocabularySize && id !== this.maskId) continue;
      throw new ArgumentError('denoise: prompt', id, `token ids in [0, ${this.facts.vocabularySize}) but the mask's`);
    }
    const settings = denoisingSettings(options, this.logitsOf === 'own' ? 'low-confidence' : 'entropy');
    this.reserve(given.length + settings.length);
    const ids = [...(await denoise(this, this.#network, given, settings, options))].slice(given.length);
    return {
      text: this.tokenizer.decode(ids, { skipSpecialTokens: true }),
      ids,
      promptTokens: given.length,
      steps: settings.steps,
    };
  }

  /** The same model, whose facts tell the steps of a run. Shares the weights; not to be disposed. */
  withSteps(denoisingSteps: number): MaskedDiffusionModel {
    const facts = { ...this.facts, denoisingSteps };
    return new MaskedDiffusionModel(this.#network, this.tokenizer, this.#config, { licence: this.licence, facts });
  }

  override generate(): never {
    throw new RefusedError(`${this.facts.name} fills in masked tokens; call denoise in place of generate.`);
  }
}
