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

const slowest = 10;

/**
 * Seconds that a project whose tests open a GPU may take: the core has more to cover than a method, packed packages are
 * installed, a browser renders in software. Undefined for CPU tests.
 */
export function budgetSeconds(project: string): number | undefined {
  const [slug, kind] = project.split(':');
  if (kind === 'browser') return 120;
  if (kind !== 'gpu') return undefined;
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

/** A line for each project that takes longer than its budget. */
export function budgetWarnings(files: readonly FileTime[]): string[] {
  const totals = new Map<string, number>();
  for (const { project, milliseconds } of files) {
    totals.set(project, (totals.get(project) ?? 0) + milliseconds);
  }
  return [...totals].flatMap(([project, total]) => {
    const budget = budgetSeconds(project);
    return budget !== undefined && total > budget * 1000
      ? [`Warning: ${project} took ${seconds(total)}, its budget is ${budget} s.`]
      : [];
  });
}

/** The plain line that ends a run. */
export function countsLine({ passed, failed, skipped }: TestCounts): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}
