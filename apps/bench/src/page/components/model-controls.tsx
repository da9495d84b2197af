import type { Listing } from '../../listing.ts';
import { formatBytes, grouped } from '../../report/format.ts';
import { shippedModels } from '../shipped-models.ts';
import { change, droppedFiles, model, setup } from '../store.ts';
import { FileDrop } from './file-drop.tsx';

const filesWanted = 'Drop a GGUF file, or config.json, tokenizer.json and weights together; or click to choose';

/** Which model: one that ships, one of the hub, or files. */
export function ModelControls({ listing, disabled }: { readonly listing: Listing; readonly disabled: boolean }) {
  const chosen = setup.value.model;
  const kind = chosen.startsWith('hub:') ? 'hub:' : chosen;
  const shipped = listing.models.filter(({ name }) => shippedModels.includes(name));
  const others = listing.models.filter(({ name }) => !shippedModels.includes(name));
  const entry = listing.models.find(({ name }) => name === chosen);
  return (
    <fieldset class="card" disabled={disabled}>
      <legend>Model</legend>
      <label>
        <span class="visually-hidden">Model</span>
        <select
          value={kind}
          onChange={({ currentTarget }) => change({ model: currentTarget.value })}
          data-testid="model"
        >
          <optgroup label="Ship with this page">
            {shipped.map(({ name, title }) => (
              <option key={name} value={name}>
                {title}
              </option>
            ))}
          </optgroup>
          <optgroup label="Download from the Hugging Face hub">
            {others.map(({ name, title }) => (
              <option key={name} value={name}>
                {title}
              </option>
            ))}
            <option value="hub:">Another language model …</option>
          </optgroup>
          <optgroup label="Yours">
            <option value="files">Files of mine (GGUF or safetensors) …</option>
          </optgroup>
        </select>
      </label>
      {kind === 'hub:' && (
        <label>
          Name on the hub
          <input
            placeholder="Qwen/Qwen3-0.6B"
            value={chosen.slice(4)}
            onChange={({ currentTarget }) => change({ model: `hub:${currentTarget.value.trim()}` })}
          />
        </label>
      )}
      {kind === 'files' && (
        <FileDrop
          text={droppedFiles.value.map(({ name }) => name).join(', ') || filesWanted}
          multiple
          onFiles={(files) => {
            droppedFiles.value = files;
          }}
        />
      )}
      <p class="soft">
        {entry?.description ?? 'Any model of a supported family; what fits this GPU is known when it loads.'}
      </p>
      <p class="soft loaded" data-testid="loaded">
        {model.value
          ? `Loaded: ${model.value.layers} layers, ${formatBytes(model.value.weightBytes)} of weights, context ${grouped(model.value.contextLength)}.`
          : 'It is loaded with the first run.'}
      </p>
    </fieldset>
  );
}
