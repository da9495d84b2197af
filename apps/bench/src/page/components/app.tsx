import { adapter, environment, listing, notice, status } from '../store.ts';
import { AttentionPanel } from './attention-panel.tsx';
import { Controls } from './controls.tsx';
import { Results } from './results.tsx';
import { Sides } from './sides.tsx';
import { TroubleNote } from './trouble-note.tsx';

/** The whole page: controls beside what they lead to. */
export function App() {
  return (
    <>
      <header class="top">
        <a class="skip" href="#output">
          Skip to the output
        </a>
        <h1>Saccade bench</h1>
        <p class="soft">Attention methods beside the dense model, measured here, in this browser.</p>
        <AdapterChip />
      </header>
      <main class="layout">
        {listing.value ? <Controls listing={listing.value} /> : <div class="controls card waiting" aria-busy="true" />}
        <div class="output" id="output" tabIndex={-1}>
          <p class="visually-hidden" role="status" aria-live="polite">
            {status.value.kind === 'busy' ? status.value.label : notice.value}
          </p>
          <TroubleNote />
          <Sides />
          <AttentionPanel />
          <Results />
        </div>
      </main>
      <footer class="soft">
        Nothing leaves this browser. Models of the hub are fetched when you load them, and kept in the browser’s cache.
      </footer>
    </>
  );
}

function AdapterChip() {
  const { kind } = status.value;
  const software = environment.value?.adapter?.software === true;
  const text = kind === 'starting' ? 'Opening the GPU' : adapter.value || 'No WebGPU';
  return (
    <p class={`chip ${kind === 'unavailable' ? 'bad' : software ? 'warn' : 'good'}`} data-testid="adapter">
      {kind === 'unavailable' && adapter.value ? 'GPU lost' : text}
    </p>
  );
}
