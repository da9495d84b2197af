import type { StoredPolicy } from './stored-policy.ts';

/** Policies of well-known models, made with `npx pnpm bench run hylra/policy`. */
export const shippedPolicies: readonly StoredPolicy[] = [];
