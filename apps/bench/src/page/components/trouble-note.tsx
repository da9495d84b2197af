import { useEffect, useRef } from 'preact/hooks';
import { open } from '../client.ts';
import { trouble } from '../store.ts';

/** What went wrong, and what to do. */
export function TroubleNote() {
  const { value } = trouble;
  const note = useRef<HTMLElement>(null);
  // On a phone it may stand far from the button that led to it.
  useEffect(() => note.current?.scrollIntoView({ block: 'nearest' }), [value]);
  if (!value) return null;
  const reopens = value.kind === 'device-lost' || value.kind === 'no-webgpu';
  return (
    <section ref={note} class="trouble card" role="alert" data-kind={value.kind}>
      <h2>{value.title}</h2>
      <p>{value.advice}</p>
      <pre>{value.detail}</pre>
      {reopens && (
        <button type="button" onClick={() => void open()}>
          Open the GPU again
        </button>
      )}
    </section>
  );
}
