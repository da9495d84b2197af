import type { Option } from '@saccade/core';
import type { ListedMethod, Listing } from '../../listing.ts';
import {
  choicesFor,
  defaultText,
  inPlaceOfBudget,
  type MethodSetup,
  methodSetup,
  optionProblem,
  optionProblems,
} from '../setup.ts';
import { change, setup } from '../store.ts';

/** One or two methods, each with the controls of its own schema. */
export function MethodControls({ listing, disabled }: { readonly listing: Listing; readonly disabled: boolean }) {
  const choices = choicesFor(setup.value, listing);
  const { methods } = setup.value;
  const second = choices.find(({ name }) => methods.every((method) => method.name !== name));
  return (
    <fieldset class="card" disabled={disabled}>
      <legend>Methods</legend>
      <p class="soft">Always beside dense attention.</p>
      {methods.map((method, index) => (
        <MethodFields
          // Two sides of the same method, with other options, are fine: the place tells them apart.
          key={`${index}-${method.name}`}
          method={method}
          index={index}
          choices={choices}
        />
      ))}
      {methods.length < 2 && second && (
        <button
          type="button"
          class="quiet"
          onClick={() => change({ methods: [...methods, methodSetup(second.name)] })}
          data-testid="add-method"
        >
          Add a second method
        </button>
      )}
    </fieldset>
  );
}

function MethodFields({
  method,
  index,
  choices,
}: {
  readonly method: MethodSetup;
  readonly index: number;
  readonly choices: readonly ListedMethod[];
}) {
  const { methods } = setup.value;
  const entry = choices.find(({ name }) => name === method.name);
  const update = (part: Partial<MethodSetup>) =>
    change({ methods: methods.map((other, at) => (at === index ? { ...other, ...part } : other)) });
  const names = Object.keys(entry?.options ?? {});
  const set = names.filter((name) => (method.given[name] ?? '') !== '').length;
  const replacing = entry ? inPlaceOfBudget(entry, method) : [];
  const groups = [
    { label: 'Methods of papers', role: 'method' },
    { label: 'Plain baselines', role: 'baseline' },
    { label: 'Oracle', role: 'oracle' },
  ] as const;
  return (
    <div class="method" data-testid={`method-${index}`}>
      <div class="row">
        <label class="grow">
          <span class="visually-hidden">Method {index + 1}</span>
          <select value={method.name} onChange={({ currentTarget }) => update(methodSetup(currentTarget.value))}>
            {groups.map(({ label, role }) => (
              <optgroup key={role} label={label}>
                {choices
                  .filter((choice) => choice.role === role)
                  .map(({ name, title }) => (
                    <option key={name} value={name}>
                      {title}
                    </option>
                  ))}
              </optgroup>
            ))}
          </select>
        </label>
        {methods.length > 1 && (
          <button
            type="button"
            class="quiet"
            aria-label={`Remove ${entry?.title ?? method.name}`}
            onClick={() => change({ methods: methods.filter((_, at) => at !== index) })}
          >
            Remove
          </button>
        )}
      </div>
      {entry && <p class="soft">{entry.description}</p>}
      {entry && replacing.length > 0 && <p class="soft">How much it may read is set by {replacing.join(' and ')}.</p>}
      {entry?.hasBudget && replacing.length === 0 && (
        <label>
          <span class="row">
            <span class="grow">May read of the context</span>
            <span>{Math.round(method.budget * 100)}%</span>
          </span>
          <input
            type="range"
            min={0.02}
            max={1}
            step={0.01}
            value={method.budget}
            onInput={({ currentTarget }) => update({ budget: currentTarget.valueAsNumber })}
          />
        </label>
      )}
      {entry && names.length > 0 && (
        <details open={optionProblems(entry, method).length > 0}>
          <summary>Options{set === 0 ? '' : `, ${set} set`}</summary>
          {names.map((name) => (
            <OptionField
              key={name}
              id={`method-${index}-${name}`}
              entry={entry}
              name={name}
              value={method.given[name] ?? ''}
              onValue={(value) => update({ given: { ...method.given, [name]: value } })}
            />
          ))}
        </details>
      )}
    </div>
  );
}

function OptionField({
  id,
  entry,
  name,
  value,
  onValue,
}: {
  /** Of the field, unlike any other's. */
  readonly id: string;
  readonly entry: ListedMethod;
  readonly name: string;
  readonly value: string;
  readonly onValue: (value: string) => void;
}) {
  const option = entry.options[name] as Option;
  const standard = defaultText(entry, name);
  const problem = optionProblem(entry, name, value);
  const shared = { id: `${id}-control`, 'aria-describedby': `${id}-text`, 'aria-invalid': problem !== undefined, name };
  const words = option.type === 'boolean' ? ['true', 'false'] : option.type === 'choice' ? option.choices : undefined;
  return (
    <div class="option">
      <label for={`${id}-control`}>
        <code>{name}</code>
      </label>
      {words ? (
        <select {...shared} value={value} onChange={({ currentTarget }) => onValue(currentTarget.value)}>
          <option value="">{standard} (default)</option>
          {words.map((word) => (
            <option key={word} value={word}>
              {word}
            </option>
          ))}
        </select>
      ) : (
        <input
          {...shared}
          value={value}
          placeholder={standard}
          inputMode={option.type === 'integer' ? 'numeric' : option.type === 'number' ? 'decimal' : 'text'}
          onChange={({ currentTarget }) => onValue(currentTarget.value.trim())}
        />
      )}
      <small id={`${id}-text`} class={problem ? 'problem' : 'soft'}>
        {problem ?? option.description}
      </small>
    </div>
  );
}
