import type { ResultFile } from '../result-file/types.ts';
import { environment, openedFiles, ownPictures, ownRows, trouble } from './store.ts';

/** Opens result files of this page or of the command line beside what is here. */
export async function openResultFiles(files: Iterable<File>): Promise<void> {
  const { validateResultFile } = await import('../result-file/validate.ts');
  for (const file of files) {
    try {
      const { environment: where, results, pictures = [] } = validateResultFile(JSON.parse(await file.text()));
      const plain = file.name.replace(/\.json$/, '');
      const before = openedFiles.value.filter(({ label }) => label === plain || label.startsWith(`${plain}, `)).length;
      const label = before === 0 ? plain : `${plain}, ${before + 1}`;
      openedFiles.value = [...openedFiles.value, { label, environment: where, rows: results, pictures }];
    } catch (error) {
      trouble.value = {
        kind: 'failed',
        title: `${file.name} is no result file`,
        detail: error instanceof Error ? error.message : String(error),
        advice: 'Open a file that this page or "saccade-bench run --json" has written.',
      };
    }
  }
}

/** This page's rows as the command line writes them. @throws ResultFileError where a dense row is missing */
export async function ownResultFile(): Promise<string> {
  const { validateResultFile } = await import('../result-file/validate.ts');
  const file = {
    schema: 'saccade-bench/1',
    environment: environment.value,
    results: ownRows.value,
    ...(ownPictures.value.length > 0 ? { pictures: ownPictures.value } : {}),
  } as ResultFile;
  return `${JSON.stringify(validateResultFile(file), null, 2)}\n`;
}

/** Hands the user a text as a file. */
export function download(name: string, text: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
