export { type CalibrationOptions, type CalibrationQuery, calibrationQueries } from './calibration-queries.ts';
export { type LayerOverlap, type LayerOverlapOptions, layerOverlap } from './layer-overlap.ts';
export { ownSelection, type SelectionRule } from './layer-selections.ts';
