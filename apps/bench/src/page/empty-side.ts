import type { SideView } from './store.ts';

/** A side that has shown nothing yet. */
export function sideView(title: string): SideView {
  return {
    title,
    started: false,
    text: '',
    image: undefined,
    keys: undefined,
    steps: [],
    row: undefined,
    trouble: undefined,
  };
}
