import type { Work } from './work.ts';

/** What the comparison asks of a worker; one answer each. */
export type Request =
  | { readonly kind: 'prepare'; readonly work: Work }
  | { readonly kind: 'run' }
  | { readonly kind: 'output' }
  | { readonly kind: 'dispose' };

/** What a worker answers. */
export type Reply =
  | { readonly kind: 'ready'; readonly description: string }
  | { readonly kind: 'done'; readonly value?: number | ArrayLike<number> }
  | { readonly kind: 'error'; readonly message: string };
