import { boolean, defineOptions, type GivenOptions, layers, number, type OptionsOf } from '@saccade/core';

/** Every option of VHR: default, range, meaning. */
export const vhrOptions = defineOptions({
  layers: layers({
    default: null,
    description:
      'Layers whose heads are reinforced. By default the second and the last 14 of 32, in other depths the second and the last seven sixteenths.',
  }),
  alpha: number({
    default: 2,
    above: 0,
    max: 16,
    description: 'Factor on the outputs of reinforced heads. Text degenerates at 4; under 1 it weakens them.',
  }),
  removeOutliers: boolean({
    default: true,
    description: 'Heads whose output surges when the image is gone are left out.',
  }),
});

/** What a caller may give; everything has a default. */
export type VhrOptions = GivenOptions<typeof vhrOptions>;

/** All options, defaults filled in. */
export type ResolvedVhrOptions = OptionsOf<typeof vhrOptions>;
