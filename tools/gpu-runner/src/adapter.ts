/** Where an adapter comes from: the machine's own GPU, Mesa's lavapipe, SwiftShader, or another software driver. */
export type AdapterKind = 'hardware' | 'lavapipe' | 'swiftshader' | 'software';

/** What a WebGPU adapter says about itself. */
export interface AdapterReport {
  readonly kind: AdapterKind;
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  /** Driver name and version, as far as the driver tells. */
  readonly description: string;
  readonly features: readonly string[];
  /** Limit name to value; sizes in bytes. */
  readonly limits: Readonly<Record<string, number>>;
}

/** The facts of an adapter that tell its kind. */
export type AdapterIdentity = Pick<AdapterReport, 'architecture' | 'device' | 'description'> & {
  readonly fallback: boolean;
};

/** Tells hardware from the software drivers by the names that they report. */
export function adapterKind(identity: AdapterIdentity): AdapterKind {
  const names = `${identity.architecture} ${identity.device} ${identity.description}`.toLowerCase();
  if (names.includes('llvmpipe') || names.includes('lavapipe')) return 'lavapipe';
  if (names.includes('swiftshader')) return 'swiftshader';
  return identity.fallback ? 'software' : 'hardware';
}

/** A short name for people: `llvmpipe-llvm-15 (Mesa 25.0.7)`. */
export function adapterLabel(adapter: AdapterReport): string {
  return [adapter.device || adapter.vendor, adapter.description && `(${adapter.description})`]
    .filter(Boolean)
    .join(' ');
}
