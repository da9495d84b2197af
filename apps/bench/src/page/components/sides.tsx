import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { formatBytes, formatNumber, formatShare, spreadOf } from '../../report/format.ts';
import type { Measure, ResultRow } from '../../result-file/types.ts';
import { familyOf } from '../setup.ts';
import { change, listing, model, runFiles, type SideView, setup, sides, status } from '../store.ts';
import { PixelCanvas } from './pixel-canvas.tsx';

/** What each side writes or draws, with its numbers; before a run, what the page is for. */
export function Sides() {
  if (sides.value.length === 0) {
    const measures = status.value.kind === 'busy' && setup.value.task !== 'own';
    return measures || runFiles.value.length > 0 ? null : <Empty />;
  }
  return (
    <section aria-label="Output" class={`sides of-${sides.value.length}`}>
      {sides.value.map((side, index) => (
        <SideCard key={side.title + String(index)} side={side} index={index} />
      ))}
    </section>
  );
}

function Empty() {
  const family = listing.value && familyOf(setup.value, listing.value);
  const result =
    family === 'diffusion'
      ? 'The image appears step by step, once with dense attention and once with each method'
      : 'The text streams, once with dense attention and once with each method';
  return (
    <section class="card empty">
      <h2>Dense attention beside a method that reads less</h2>
      <p>
        A transformer compares every token with all others. The methods here make it look only where the information is.
        Run the set-up to see what that changes.
      </p>
      <ol>
        <li>{result}, with the time per token or step and the memory of each.</li>
        <li>Below, where every layer looked: token by token or patch by patch.</li>
        <li>Each run adds rows to a table and its plots. Run again with other options, and compare.</li>
      </ol>
    </section>
  );
}

function SideCard({ side, index }: { readonly side: SideView; readonly index: number }) {
  const { image, text, row, started, trouble } = side;
  const family = model.value?.family;
  const draws = image !== undefined || family === 'diffusion';
  const card = useRef<HTMLElement>(null);
  // On a phone it stands below the button that started it.
  useEffect(() => {
    if (started && index === 0) card.current?.scrollIntoView({ block: 'nearest' });
  }, [started, index]);
  const writing = started && !row && status.value.kind === 'busy';
  return (
    <article ref={card} class="card side" data-testid={`side-${index}`} style={{ '--accent': accent(index) }}>
      <h2>{side.title}</h2>
      {image && (
        <button
          type="button"
          class="pick"
          title="Choose the patch whose attention the next run shows"
          onClick={(event) => pickPatch(event, side)}
        >
          <PixelCanvas pixels={image.pixels} label={`${side.title}, ${image.label}`} class="drawn" />
        </button>
      )}
      {draws && !image && !trouble && <div class="pick" />}
      {!draws && !trouble && <SideText text={text} writing={writing} index={index} />}
      {trouble && (
        <div class="refusal">
          <strong>{trouble.title}</strong>
          <p>{trouble.detail}</p>
        </div>
      )}
      <Facts row={row} draws={draws} denoises={draws || family === 'masked-diffusion'} />
    </article>
  );
}

/** The text so far; while it grows, its end is in sight. */
function SideText({
  text,
  writing,
  index,
}: {
  readonly text: string;
  readonly writing: boolean;
  readonly index: number;
}) {
  const box = useRef<HTMLParagraphElement>(null);
  useLayoutEffect(() => {
    if (writing) box.current?.scrollTo(0, box.current.scrollHeight);
  }, [text, writing]);
  return (
    <p ref={box} class="text" data-testid={`text-${index}`}>
      {text}
      {writing && <span class="caret" aria-hidden="true" />}
    </p>
  );
}

function pickPatch(event: MouseEvent, { keys }: SideView): void {
  if (keys?.kind !== 'grid' || !(event.currentTarget instanceof HTMLElement)) return;
  // From the keyboard there is no place.
  if (event.detail === 0) return;
  const { left, top, width, height } = event.currentTarget.getBoundingClientRect();
  const column = Math.min(keys.columns - 1, Math.floor(((event.clientX - left) / width) * keys.columns));
  const row = Math.min(keys.rows - 1, Math.floor(((event.clientY - top) / height) * keys.rows));
  change({ patch: row * keys.columns + column });
}

/** The colour of a side everywhere on the page. */
export function accent(index: number): string {
  return index === 0 ? 'var(--dense)' : `var(--series-${index - 1})`;
}

/** The numbers of a side; their places are there before the numbers are. */
function Facts({
  row,
  draws,
  denoises,
}: {
  readonly row: ResultRow | undefined;
  readonly draws: boolean;
  readonly denoises: boolean;
}) {
  const show = (measure: Measure | null | undefined, format: (value: number) => string) =>
    measure === undefined || measure === null ? '–' : format(spreadOf(measure).centre);
  const ms = (value: number) => `${formatNumber(value)} ms`;
  const { speed, quality, memory } = row ?? { speed: {}, quality: {}, memory: {} };
  const facts = [
    denoises ? ['Per step', show(speed.stepMs, ms)] : ['Per token', show(speed.decodeMsPerToken, ms)],
    ['Against dense', show(speed.speedup, (value) => `${formatNumber(value)}×`)],
    ['Keys read', show(row?.density, formatShare)],
    ['Peak memory', show(memory.peakBytes, formatBytes)],
    draws
      ? ['PSNR', show(quality.psnr, (value) => `${formatNumber(value)} dB`)]
      : ['Same tokens', show(quality.agreement, formatShare)],
  ] as const;
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
