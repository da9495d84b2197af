import { carveEntry } from '@saccade/carve/bench';
import { giftEntry } from '@saccade/gift/bench';
import { gnaEntry } from '@saccade/gna/bench';
import { hylraEntry } from '@saccade/hylra/bench';
import { reTtentionEntry } from '@saccade/re-ttention/bench';
import { sparsedEntry } from '@saccade/sparsed/bench';
import { spattenEntry } from '@saccade/spatten/bench';
import { tidalDecodeEntry } from '@saccade/tidaldecode/bench';
import { varEntry } from '@saccade/var/bench';
import { vhrEntry } from '@saccade/vhr/bench';
import { zipvlEntry } from '@saccade/zipvl/bench';

/** The papers' methods, one package each; `npx pnpm create-method <slug>` adds one. */
export const methods = [
  tidalDecodeEntry,
  hylraEntry,
  spattenEntry,
  sparsedEntry,
  reTtentionEntry,
  gnaEntry,
  varEntry,
  vhrEntry,
  giftEntry,
  carveEntry,
  zipvlEntry,
];
