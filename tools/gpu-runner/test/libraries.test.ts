import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { cacheFolder } from '../src/cache-folder.ts';
import { installedLavapipe } from '../src/candidates.ts';
import { mergeLibraryPath } from '../src/choose-adapter.ts';
import { parseLdd } from '../src/drivers/libraries.ts';

it('reads what ldd found and what it missed', () => {
  const output = [
    '\tlinux-vdso.so.1 (0x00007fdcdded6000)',
    '\tlibLLVM-15.so.1 => /tmp/root/usr/lib/libLLVM-15.so.1 (0x00007fdcddec0000)',
    '\tlibz3.so.4 => not found',
    '\t/lib64/ld-linux-x86-64.so.2 (0x00007fdcdded8000)',
  ].join('\n');
  expect(parseLdd(output)).toEqual([
    { name: 'libLLVM-15.so.1', path: '/tmp/root/usr/lib/libLLVM-15.so.1' },
    { name: 'libz3.so.4' },
  ]);
});

it('puts its own libraries first, once', () => {
  const variables = { LD_LIBRARY_PATH: '/own' };
  expect(mergeLibraryPath(variables, undefined)).toEqual({ LD_LIBRARY_PATH: '/own' });
  expect(mergeLibraryPath(variables, '/a:/b')).toEqual({ LD_LIBRARY_PATH: '/own:/a:/b' });
  expect(mergeLibraryPath(variables, '/a:/own')).toEqual({ LD_LIBRARY_PATH: '/own:/a' });
  expect(mergeLibraryPath({}, '/a')).toEqual({});
});

it("finds the machine's own lavapipe by its manifest", () => {
  const folder = join(mkdtempSync(join(tmpdir(), 'saccade-')), 'icd.d');
  expect(installedLavapipe([folder])).toBeUndefined();
  mkdirSync(folder);
  writeFileSync(join(folder, 'radeon_icd.x86_64.json'), '{}');
  expect(installedLavapipe([folder])).toBeUndefined();
  writeFileSync(join(folder, 'lvp_icd.x86_64.json'), '{}');
  expect(installedLavapipe([folder])).toBe(join(folder, 'lvp_icd.x86_64.json'));
});

it("writes to the user's cache folder of the platform", () => {
  expect(cacheFolder({ XDG_CACHE_HOME: '/cache' }, 'linux')).toBe('/cache/saccade');
  expect(cacheFolder({}, 'linux')).toMatch(/\/\.cache\/saccade$/);
  expect(cacheFolder({}, 'darwin')).toMatch(/Library\/Caches\/saccade$/);
});
