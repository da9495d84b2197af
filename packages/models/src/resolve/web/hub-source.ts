import { blobSource } from '../../weights/blob-source.ts';
import { WeightFileError } from '../../weights/weight-file-error.ts';
import { openHubFiles } from '../hub-files.ts';
import type { ModelSource } from '../model-source.ts';

/** Reads a model straight from the hub, range by range; nothing is stored. */
export const hubSource: ModelSource = async (request) => {
  const blobs = await openHubFiles(request);
  return {
    name: request.name,
    source: 'hub',
    location: `${request.hubUrl}/${request.repository}`,
    names: [...blobs.keys()],
    async open(name) {
      const blob = blobs.get(name);
      if (!blob) throw new WeightFileError('not-found', `${request.repository} has no ${name}.`);
      return blobSource(blob, name);
    },
  };
};
