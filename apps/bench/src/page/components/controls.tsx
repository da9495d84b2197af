import type { Listing } from '../../listing.ts';
import { cancel, run } from '../client.ts';
import { familyOf } from '../setup.ts';
import { change, droppedFiles, model, promptImage, setup, status } from '../store.ts';
import { MethodControls } from './method-controls.tsx';
import { ModelControls } from './model-controls.tsx';
import { TaskControls } from './task-controls.tsx';

/** The set-up, in the order in which one thinks of it, and its one action. */
export function Controls({ listing }: { readonly listing: Listing }) {
  const { kind } = status.value;
  const busy = kind === 'busy';
  const scenario = listing.scenarios.find(({ name }) => name === setup.value.task);
  const family = model.value?.family ?? familyOf(setup.value, listing);
  const lacks =
    setup.value.model === 'files' && droppedFiles.value.length === 0
      ? 'Choose the model’s files first.'
      : family === 'vision' && !scenario && !promptImage.value
        ? 'Choose an image first.'
        : undefined;
  return (
    <form
      class="controls"
      aria-label="Set-up"
      onSubmit={(event) => {
        event.preventDefault();
        if (!busy && kind === 'ready' && !lacks) void run();
      }}
    >
      <ModelControls listing={listing} disabled={busy} />
      <TaskControls listing={listing} disabled={busy} />
      <MethodControls listing={listing} disabled={busy} />
      <div class="action">
        {busy ? (
          <>
            <button type="button" class="primary" onClick={cancel}>
              Cancel
            </button>
            <Progress />
          </>
        ) : (
          <>
            <button type="submit" class="primary" disabled={kind !== 'ready' || lacks !== undefined}>
              {scenario ? 'Run the scenario' : 'Run and compare'}
            </button>
            <p class="soft">
              {lacks ?? (kind === 'starting' ? 'Opening the GPU …' : 'Dense first, then each method.')}
            </p>
          </>
        )}
      </div>
      <p class="link-row">
        <button
          type="button"
          class="quiet"
          onClick={() => {
            change({});
            void navigator.clipboard?.writeText(location.href);
          }}
        >
          Copy a link to this set-up
        </button>
      </p>
    </form>
  );
}

function Progress() {
  const { value } = status;
  if (value.kind !== 'busy') return null;
  return (
    <div class="progress">
      <progress {...(value.share === undefined ? {} : { value: value.share })} max={1} aria-label={value.label} />
      <span class="soft">{value.label}</span>
    </div>
  );
}
