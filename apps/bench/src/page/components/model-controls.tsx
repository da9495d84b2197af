import { useSignal } from '@preact/signals';
import type { Listing } from '../../listing.ts';
import { formatBytes, grouped } from '../../report/format.ts';
import { shippedModels } from '../shipped-models.ts';
import { change, droppedFiles, model, setup } from '../store.ts';

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
      {kind === 'files' && <FileDrop />}
      <p class="soft">
        {entry?.description ?? 'Any model of a supported family; what fits this GPU is known when it loads.'}
      </p>
      {model.value && (
        <p class="soft" data-testid="loaded">
          Loaded: {model.value.layers} layers, {formatBytes(model.value.weightBytes)} of weights, context{' '}
          {grouped(model.value.contextLength)}.
        </p>
      )}
    </fieldset>
  );
}

function FileDrop() {
  const over = useSignal(false);
  const take = (files: FileList | null | undefined) => {
    if (files && files.length > 0) droppedFiles.value = [...files];
  };
  return (
    <label
      class={`drop ${over.value ? 'over' : ''}`}
      onDragOver={(event) => {
        event.preventDefault();
        over.value = true;
      }}
      onDragLeave={() => {
        over.value = false;
      }}
      onDrop={(event) => {
        event.preventDefault();
        over.value = false;
        take(event.dataTransfer?.files);
      }}
    >
      {droppedFiles.value.length > 0
        ? droppedFiles.value.map(({ name }) => name).join(', ')
        : 'Drop a GGUF file, or config.json, tokenizer.json and weights together'}
      <input type="file" multiple onChange={({ currentTarget }) => take(currentTarget.files)} />
    </label>
  );
}
