import type { LayerRole } from './layer-roles.ts';

/** What one run of TidalDecode keeps between steps. */
export interface TidalDecodeState {
  /** By global layer. */
  readonly roles: readonly LayerRole[];
  /** Decoded tokens whose keys and values are dense again. */
  corrected: number;
}
