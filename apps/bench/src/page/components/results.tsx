import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Chart } from '../../report/charts.ts';
import { type Column, columnsFor } from '../../report/columns.ts';
import { adapterName } from '../../report/environment-facts.ts';
import type { Environment, ResultRow } from '../../result-file/types.ts';
import { ownTasks } from '../own-tasks.ts';
import { download, openResultFiles, ownResultFile } from '../result-files.ts';
import { listing, openedFiles, ownPictures, ownRows, runFiles, trouble } from '../store.ts';

type Charts = typeof import('../charts.ts');

/** Everything that was measured: a table and plots per task and model, and files in and out. */
export function Results() {
  const charts = useSignal<Charts | undefined>(undefined);
  const files = runFiles.value;
  const wanted = files.length > 0;
  useEffect(() => {
    // The plotting library is large; it is loaded with the first result.
    if (wanted) void import('../charts.ts').then((loaded) => (charts.value = loaded));
  }, [wanted]);
  const names = {
    scenarios: [...Object.values(ownTasks), ...(listing.value?.scenarios ?? [])],
    methods: listing.value?.methods ?? [],
  };
  const sections = charts.value?.sectionsOf(files, names) ?? [];
  return (
    <section
      class="card results"
      aria-label="Results"
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault();
        void openResultFiles(event.dataTransfer?.files ?? []);
      }}
    >
      <div class="panel-head">
        <h2>Results</h2>
        <FileActions />
      </div>
      {!wanted && (
        <p class="soft">
          Rows of every run gather here. Drop a result file of an earlier run, or of the command line, to compare runs
          and adapters.
        </p>
      )}
      {files.length > 1 && (
        <ul class="runs soft">
          {files.map(({ label, environment }) => (
            <li key={label}>
              <strong>{label}</strong>: {placeOf(environment)}, {environment.date.slice(0, 16).replace('T', ' ')} UTC
            </li>
          ))}
        </ul>
      )}
      {sections.map(({ group, runOf, charts: drawn, styles }) => (
        <section key={`${group.scenario} ${group.model}`}>
          <h3>{group.title}</h3>
          <p class="soft">{group.description}</p>
          <RowTable rows={group.rows} runOf={files.length > 1 ? runOf : undefined} />
          {!drawn.some(isLine) && (
            <p class="soft">
              With another budget, a plot of quality appears here; with another context length, one of time.
            </p>
          )}
          {charts.value &&
            drawn.filter(isLine).map((chart) => (
              <figure key={chart.title} class="plot-figure">
                <figcaption>
                  <strong>{chart.title}</strong> {chart.caption}
                </figcaption>
                <ul class="legend">
                  {chart.series.map((name) => {
                    const style = styles.get(name);
                    return style ? (
                      <li key={name}>
                        <Svg text={charts.value?.legendSvg(style) ?? ''} />
                        <span>{name}</span>
                      </li>
                    ) : null;
                  })}
                </ul>
                <div class="axis">{chart.yLabel}</div>
                <Svg text={charts.value?.chartSvg(chart, styles) ?? ''} class="chart" />
                <div class="axis x">{chart.xLabel}</div>
              </figure>
            ))}
          {files
            .flatMap(({ pictures }) => pictures)
            .map((picture) =>
              'png' in picture && picture.scenario === group.scenario && picture.model === group.model ? (
                <figure key={picture.title}>
                  <figcaption>
                    <strong>{picture.title}</strong> {picture.caption} From left to right: {picture.columns.join(', ')}.
                  </figcaption>
                  <img class="grid" src={`data:image/png;base64,${picture.png}`} alt={picture.title} />
                </figure>
              ) : null,
            )}
        </section>
      ))}
    </section>
  );
}

/** The adapter and what opened it. */
function placeOf({ adapter, browser, node }: Environment): string {
  return `${adapter ? adapterName(adapter) : 'no adapter'}, ${browser ? browserName(browser) : `Node ${node}`}`;
}

/** The browser of a user agent, which names several; the telling one first. */
function browserName(userAgent: string): string {
  const [, name, version] =
    [/(Edg)\/(\d+)/, /(Firefox)\/(\d+)/, /(Chrome)\/(\d+)/, /(Version)\/(\d+)/]
      .map((pattern) => pattern.exec(userAgent))
      .find((match) => match !== null) ?? [];
  const names: Readonly<Record<string, string>> = { Edg: 'Edge', Version: 'Safari' };
  return name ? `${names[name] ?? name} ${version}` : userAgent;
}

/** Long texts stand behind the numbers, which are compared. */
function numbersFirst(columns: readonly Column[]): readonly Column[] {
  return [...columns].sort((a, b) => Number(isLong(a)) - Number(isLong(b)));
}

function isLong({ header }: Column): boolean {
  return header === 'Options' || header === 'Remark';
}

/** Points at one place alone say no more than the table. */
function isLine({ points }: Chart): boolean {
  return new Set(points.map(({ x }) => x)).size > 1;
}

/** SVG that the report's own code drew, in which data stand as escaped text. */
function Svg({ text, class: className = '' }: { readonly text: string; readonly class?: string }) {
  return <span class={className} dangerouslySetInnerHTML={{ __html: text }} />;
}

function FileActions() {
  return (
    <div class="row">
      <label class="button quiet">
        Open a file
        <input
          type="file"
          multiple
          accept=".json,application/json"
          class="visually-hidden"
          onChange={({ currentTarget }) => void openResultFiles(currentTarget.files ?? [])}
        />
      </label>
      <button type="button" class="quiet" disabled={ownRows.value.length === 0} onClick={() => void save()}>
        Download JSON
      </button>
      <button
        type="button"
        class="quiet"
        disabled={runFiles.value.length === 0}
        onClick={() => {
          ownRows.value = [];
          ownPictures.value = [];
          openedFiles.value = [];
        }}
      >
        Clear
      </button>
    </div>
  );
}

async function save(): Promise<void> {
  try {
    download('saccade-bench.json', await ownResultFile());
  } catch (error) {
    trouble.value = {
      kind: 'failed',
      title: 'The results are not complete',
      detail: error instanceof Error ? error.message : String(error),
      advice: 'Every task and model needs its dense run: run it to its end once.',
    };
  }
}

function RowTable({
  rows,
  runOf,
}: {
  readonly rows: readonly ResultRow[];
  readonly runOf: ((row: ResultRow) => string) | undefined;
}) {
  const [method, ...others] = numbersFirst(columnsFor(rows));
  const run: Column[] = runOf ? [{ header: 'Run', numeric: false, cell: runOf }] : [];
  const columns = method ? [method, ...run, ...others] : [];
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable from the keyboard
    <section class="table" tabIndex={0} aria-label="All measurements">
      <table>
        <thead>
          <tr>
            {columns.map(({ header, numeric }) => (
              <th key={header} class={numeric ? 'number' : ''}>
                {header}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={index} class={row.method === 'dense' ? 'dense' : ''} data-testid="row">
              {columns.map((column) => (
                <td key={column.header} class={column.numeric ? 'number' : column.header === 'Remark' ? 'wide' : ''}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
