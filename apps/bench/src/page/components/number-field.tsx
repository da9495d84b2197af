/** A whole number with a label. */
export function NumberField({
  label,
  value,
  min,
  max,
  onValue,
}: {
  readonly label: string;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly onValue: (value: number) => void;
}) {
  return (
    <label>
      {label}
      <input
        type="number"
        inputMode="numeric"
        value={value}
        min={min}
        max={max}
        step={1}
        required
        onChange={({ currentTarget }) => {
          if (currentTarget.checkValidity()) onValue(currentTarget.valueAsNumber);
          else currentTarget.reportValidity();
        }}
      />
    </label>
  );
}
