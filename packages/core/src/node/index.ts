export { checkpointFile } from './checkpoint-file.ts';
export { jsonLinesFile } from './json-lines-file.ts';
