import type { ListedScenario, Listing } from '../../listing.ts';
import { familyOf } from '../setup.ts';
import { change, model, setup } from '../store.ts';
import { ImageField } from './image-field.tsx';
import { NumberField } from './number-field.tsx';

/** What the model does: an own prompt or image, or a scenario of the bench. */
export function TaskControls({ listing, disabled }: { readonly listing: Listing; readonly disabled: boolean }) {
  const family = familyOf(setup.value, listing);
  const scenarios = listing.scenarios.filter(({ needs }) => needs === family);
  const bare = listing.scenarios.filter(({ needs }) => needs === 'none');
  const scenario = listing.scenarios.find(({ name }) => name === setup.value.task);
  const options = (entries: readonly ListedScenario[]) =>
    entries.map(({ name, title }) => (
      <option key={name} value={name}>
        {title}
      </option>
    ));
  return (
    <fieldset class="card" disabled={disabled}>
      <legend>Task</legend>
      <label>
        <span class="visually-hidden">Task</span>
        <select
          value={setup.value.task}
          onChange={({ currentTarget }) => change({ task: currentTarget.value })}
          data-testid="task"
        >
          <option value="own">{family === 'diffusion' ? 'Your own image' : 'Your own prompt'}</option>
          <optgroup label="Scenarios on this model">{options(scenarios)}</optgroup>
          <optgroup label="The attention engine alone">{options(bare)}</optgroup>
        </select>
      </label>
      {scenario ? <ScenarioFields scenario={scenario} /> : <OwnFields listing={listing} />}
    </fieldset>
  );
}

function ScenarioFields({ scenario }: { readonly scenario: ListedScenario }) {
  const { lengths, repeats } = setup.value;
  return (
    <>
      <p class="soft">{scenario.description}</p>
      <div class="pair">
        <label>
          Context lengths
          <input
            value={lengths}
            placeholder={scenario.lengths.quick.join(', ')}
            pattern="\d+([\s,]+\d+)*"
            onChange={({ currentTarget }) => change({ lengths: currentTarget.value.trim() })}
          />
        </label>
        <label>
          Repeats
          <input
            value={repeats}
            placeholder={String(scenario.repeats.quick)}
            inputMode="numeric"
            pattern="[1-9]\d*"
            onChange={({ currentTarget }) => change({ repeats: currentTarget.value.trim() })}
          />
        </label>
      </div>
    </>
  );
}

function OwnFields({ listing }: { readonly listing: Listing }) {
  const { prompt, tokens, steps, seed, attention, classLabel } = setup.value;
  const family = familyOf(setup.value, listing);
  const draws = family === 'diffusion';
  const denoises = draws || family === 'masked-diffusion';
  const classes = listing.models.find(({ name }) => name === setup.value.model)?.classes;
  return (
    <>
      {!draws && (
        <label>
          Prompt
          <textarea
            rows={5}
            value={prompt}
            data-testid="prompt"
            onChange={({ currentTarget }) => change({ prompt: currentTarget.value })}
          />
        </label>
      )}
      {family === 'vision' && <ImageField />}
      {draws &&
        (classes ? (
          <label>
            What to draw
            <select
              value={String(classLabel)}
              onChange={({ currentTarget }) => change({ classLabel: Number(currentTarget.value) })}
            >
              {classes.map((name, index) => (
                <option key={name} value={String(index)}>
                  {name}
                </option>
              ))}
            </select>
          </label>
        ) : (
          <NumberField
            label="Class"
            value={classLabel}
            min={0}
            max={999}
            onValue={(value) => change({ classLabel: value })}
          />
        ))}
      <div class="pair">
        {!draws && (
          <NumberField
            label="Tokens"
            value={tokens}
            min={1}
            max={1024}
            onValue={(value) => change({ tokens: value })}
          />
        )}
        {denoises && (
          <NumberField label="Steps" value={steps} min={1} max={1000} onValue={(value) => change({ steps: value })} />
        )}
        <NumberField label="Seed" value={seed} min={0} max={2 ** 31} onValue={(value) => change({ seed: value })} />
      </div>
      <label class="check">
        <input
          type="checkbox"
          checked={attention}
          onChange={({ currentTarget }) => change({ attention: currentTarget.checked })}
        />
        Show attention{denoises ? '' : ' (a second, untimed run)'}
      </label>
      {draws && attention && <PatchFields />}
    </>
  );
}

/** Row and column of the patch whose attention is shown: what a click on an image sets, for the keyboard; known of a loaded model. */
function PatchFields() {
  const grid = model.value?.grid;
  if (!grid) return <p class="soft patch">Once the model is loaded, the patch that is watched can be chosen.</p>;
  const patch = Math.min(setup.value.patch, grid.rows * grid.columns - 1);
  const [row, column] = [Math.floor(patch / grid.columns), patch % grid.columns];
  return (
    <div class="pair patch">
      <NumberField
        label="Patch: row"
        value={row}
        min={0}
        max={grid.rows - 1}
        onValue={(value) => change({ patch: value * grid.columns + column })}
      />
      <NumberField
        label="Column"
        value={column}
        min={0}
        max={grid.columns - 1}
        onValue={(value) => change({ patch: row * grid.columns + value })}
      />
    </div>
  );
}
