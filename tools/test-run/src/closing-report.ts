/** A test file's share of a run. */
export interface FileTime {
  readonly project: string;
  /** Relative to the workspace. */
  readonly file: string;
  readonly milliseconds: number;
}

/** Outcomes of a run's tests. */
export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const gpuSuffix = ':gpu';
const slowest = 10;

/** Seconds that a package's GPU tests may take: the core has more to cover than a method, packed packages are installed. */
export function gpuBudgetSeconds(slug: string): number {
  if (slug === 'core') return 240;
  return slug === 'packed' ? 180 : 60;
}

/** The lines about the slowest files, slowest first. */
export function slowestFileLines(files: readonly FileTime[]): string[] {
  const sorted = [...files].sort((a, b) => b.milliseconds - a.milliseconds).slice(0, slowest);
  if (sorted.length === 0) return [];
  const lines = sorted.map(
    ({ project, file, milliseconds }) => `${seconds(milliseconds).padStart(9)}  ${project}  ${file}`,
  );
  return [
    sorted.length < files.length ? `The ${slowest} slowest of ${files.length} files:` : 'Time per file:',
    ...lines,
  ];
}

/** A line for each package whose GPU tests take longer than its budget. */
export function budgetWarnings(files: readonly FileTime[]): string[] {
  const totals = new Map<string, number>();
  for (const { project, milliseconds } of files) {
    if (project.endsWith(gpuSuffix)) totals.set(project, (totals.get(project) ?? 0) + milliseconds);
  }
  return [...totals].flatMap(([project, total]) => {
    const budget = gpuBudgetSeconds(project.slice(0, -gpuSuffix.length));
    return total > budget * 1000 ? [`Warning: ${project} took ${seconds(total)}, its budget is ${budget} s.`] : [];
  });
}

/** The plain line that ends a run. */
export function countsLine({ passed, failed, skipped }: TestCounts): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}
