export { type CalibrationOptions, type CalibrationQuery, calibrationQueries } from './calibration-queries.ts';
export { type LayerOverlapOptions, layerOverlap } from './layer-overlap.ts';
export { ownSelection, type SelectionRule } from './layer-selections.ts';
export { type LayerOverlap, OverlapSums } from './overlap-sums.ts';
