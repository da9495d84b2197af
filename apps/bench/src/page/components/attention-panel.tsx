import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { gridPixels, heatPixels, keysLookedAt, meanOfLayers, strength } from '../attention/heat.ts';
import type { AttentionKeys, AttentionStep, LoadedModel } from '../protocol.ts';
import { pixelsOf } from '../raw-image.ts';
import { model, type SideView, setup, shownImage, sides, status } from '../store.ts';
import { PixelCanvas } from './pixel-canvas.tsx';
import { accent } from './sides.tsx';

const frameMs = 350;

/** Where every layer looked, side by side, step by step. */
export function AttentionPanel() {
  // Negative follows the newest.
  const step = useSignal(-1);
  const layer = useSignal(-1);
  const playing = useSignal(false);
  const seen = sides.value.filter(({ steps, keys }) => steps.length > 0 && keys);
  // A method that puts attention of its own in the model's place gives nothing to watch.
  const unseen = sides.value.filter(({ steps, row }) => row?.status === 'ok' && steps.length === 0);
  // While a run is under way, the places of what it will show are kept.
  const awaited = status.value.kind === 'busy' && setup.value.attention ? model.value : undefined;
  const shown = awaited ? sides.value : seen;
  const count = Math.max(0, ...shown.map(({ steps }) => steps.length));
  const layers = Math.max(0, ...shown.map(({ steps }) => steps[0]?.layers.length ?? 0));
  useEffect(() => {
    if (!playing.value || count < 2) return;
    const timer = setInterval(() => {
      step.value = (step.value + 1) % count;
    }, frameMs);
    return () => clearInterval(timer);
  }, [playing.value, count]);
  if (shown.length === 0) return null;
  const at = step.value < 0 ? count - 1 : Math.min(step.value, count - 1);
  const label = seen[0]?.steps[Math.min(at, (seen[0]?.steps.length ?? 1) - 1)]?.label ?? '';
  return (
    <section class="card" aria-label="Attention" data-testid="attention">
      <div class="panel-head">
        <h2>Where it looked</h2>
        <div class="row playback">
          <button type="button" onClick={() => (playing.value = !playing.value)} disabled={count < 2}>
            {playing.value ? 'Pause' : 'Play'}
          </button>
          <label class="grow">
            <span class="visually-hidden">Step</span>
            <input
              type="range"
              min={0}
              max={Math.max(0, count - 1)}
              value={at}
              onInput={({ currentTarget }) => {
                playing.value = false;
                step.value = currentTarget.valueAsNumber;
              }}
              aria-valuetext={label}
            />
          </label>
          <output class="step">{label}</output>
          <label>
            <span class="visually-hidden">Layer</span>
            <select
              value={String(layer.value)}
              onChange={({ currentTarget }) => (layer.value = Number(currentTarget.value))}
            >
              <option value="-1">All layers</option>
              {Array.from({ length: layers }, (_, index) => (
                <option key={String(index)} value={String(index)}>
                  Layer {index}
                </option>
              ))}
            </select>
          </label>
        </div>
      </div>
      <p class="soft">
        {explanation(shown, awaited)}
        {unseen.length > 0 &&
          ` Of ${unseen.map(({ title }) => title).join(' and ')} nothing was recorded: attention is computed in its own way.`}
      </p>
      <div class={`sides of-${shown.length}`}>
        {shown.map((side) => (
          <SideAttention
            key={sides.value.indexOf(side)}
            side={side}
            keys={side.keys ?? keysOf(awaited)}
            step={side.steps[Math.min(at, side.steps.length - 1)] ?? nothingOf(awaited)}
            layer={layer.value}
            color={accent(sides.value.indexOf(side))}
          />
        ))}
      </div>
    </section>
  );
}

/** The kind of keys that a model's attention will have. */
function keysOf(awaited: LoadedModel | undefined): AttentionKeys {
  return awaited?.family === 'diffusion' || awaited?.family === 'vision'
    ? { kind: 'grid', rows: 1, columns: 1, positions: undefined }
    : { kind: 'tokens', texts: [] };
}

/** A step of which nothing is known yet. */
function nothingOf(awaited: LoadedModel | undefined): AttentionStep {
  return { label: '', layers: Array.from({ length: awaited?.layers ?? 0 }) };
}

function explanation(shown: readonly SideView[], awaited: LoadedModel | undefined): string {
  if (awaited?.family === 'diffusion' || shown.some(({ image }) => image))
    return 'The attention of one patch, mean over heads; each square is a layer. Click an image above, or change the row and column of the patch, to choose another one for the next run.';
  if (awaited?.family === 'vision' || shown.some(({ keys }) => keys?.kind === 'grid'))
    return 'Which parts of the image each answer token was made from, mean over heads; each square is a layer.';
  const fills = awaited?.family === 'masked-diffusion' || shown.some(({ row }) => row?.speed.stepMs !== undefined);
  const of = fills
    ? 'The attention of the first token that is filled in'
    : 'The attention from which the next token was made';
  return `${of}, mean over heads. In the map a row is a layer and a column a token; the text below shows the chosen layers.`;
}

function SideAttention({
  side,
  keys,
  step,
  layer,
  color,
}: {
  readonly side: SideView;
  readonly keys: AttentionKeys;
  readonly step: AttentionStep;
  readonly layer: number;
  readonly color: string;
}) {
  const row = layer < 0 ? meanOfLayers(step.layers) : step.layers[layer];
  const image = side.image?.pixels ?? (shownImage.value && pixelsOf(shownImage.value));
  const waits = side.steps.length === 0;
  return (
    <div class="side" style={{ '--accent': color }}>
      <h3>{side.title}</h3>
      <p class="soft">
        {layer < 0 ? 'Tokens a layer looks at' : 'Tokens looked at'}:{' '}
        {waits ? '–' : keysLookedAt(layer < 0 ? step.layers : [row])}
      </p>
      {keys.kind === 'grid' ? (
        <div class="tiles">
          {step.layers.map((values, index) =>
            layer < 0 || layer === index ? (
              <figure key={String(index)}>
                <div class="stack">
                  {image && <PixelCanvas pixels={image} label="The image" class="under" />}
                  <PixelCanvas
                    pixels={gridPixels(values, keys)}
                    label={`${side.title}, layer ${index}, ${step.label}`}
                  />
                </div>
                <figcaption>{values || waits ? `layer ${index}` : `layer ${index}: not recorded`}</figcaption>
              </figure>
            ) : null,
          )}
        </div>
      ) : (
        <>
          <PixelCanvas
            pixels={heatPixels(layer < 0 ? step.layers : [row], widest(side))}
            label={`${side.title}: attention by layer and token, ${step.label}`}
            class="map"
          />
          <TokenText texts={keys.texts} row={row} />
        </>
      )}
    </div>
  );
}

/** Keys of the longest step, so that the map keeps its width while it plays. */
function widest({ steps }: SideView): number {
  return Math.max(1, ...steps.flatMap(({ layers }) => layers.map((row) => row?.length ?? 0)));
}

function TokenText({ texts, row }: { readonly texts: readonly string[]; readonly row: Float32Array | undefined }) {
  const length = row?.length ?? 0;
  const most = row ? Math.max(...row) : 0;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable from the keyboard
    <section class="tokens" tabIndex={0} aria-label="Tokens by the attention they got">
      {texts.slice(0, length).map((text, index) => (
        <span key={index} style={{ '--heat': strength(row?.[index] ?? 0, most).toFixed(3) }}>
          {text}
        </span>
      ))}
    </section>
  );
}
