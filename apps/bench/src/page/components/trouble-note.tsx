import { open } from '../client.ts';
import { trouble } from '../store.ts';

/** What went wrong, and what to do. */
export function TroubleNote() {
  const { value } = trouble;
  if (!value) return null;
  const reopens = value.kind === 'device-lost' || value.kind === 'no-webgpu';
  return (
    <section class="trouble card" role="alert" data-kind={value.kind}>
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
