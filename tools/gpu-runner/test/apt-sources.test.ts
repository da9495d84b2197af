import { expect, it } from 'vitest';
import {
  driverSources,
  parseSourceLines,
  parseSourceStanzas,
  readDistribution,
  sourceLine,
} from '../src/drivers/apt-sources.ts';

const debian = { uri: 'http://mirror.example/debian', suite: 'bookworm', components: ['main'] };

it('reads the distribution, and the Ubuntu release that a derivative builds on', () => {
  expect(readDistribution('ID=debian\nVERSION_CODENAME=bookworm\n')).toEqual({ id: 'debian', codename: 'bookworm' });
  const mint = 'ID=linuxmint\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME="noble"\n';
  expect(readDistribution(mint)).toEqual({ id: 'ubuntu', codename: 'noble' });
  expect(readDistribution('')).toEqual({ id: '', codename: '' });
});

it('parses one-line sources with options and comments', () => {
  const text = [
    '# deb http://off.example/debian bookworm main',
    'deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] http://mirror.example/debian bookworm main contrib # ours',
    'deb-src http://mirror.example/debian bookworm main',
  ].join('\n');
  expect(parseSourceLines(text)).toEqual([
    { ...debian, components: ['main', 'contrib'], signedBy: '/usr/share/keyrings/a.gpg' },
  ]);
});

it('parses stanzas: every suite of every address, without disabled ones and embedded keys', () => {
  const text = [
    'Types: deb\n# a comment\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main',
    'Enabled: no\nTypes: deb\nURIs: http://off.example\nSuites: bookworm\nComponents: main',
    'Types: deb\nURIs: http://key.example\nSuites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN PGP',
  ].join('\n\n');
  expect(parseSourceStanzas(text)).toEqual([debian, { ...debian, suite: 'bookworm-updates' }]);
});

it("takes the release's own archives, and adds backports on Debian 12 only", () => {
  const foreign = { uri: 'http://other.example', suite: 'nodistro', components: ['main'] };
  const bookworm = driverSources({ id: 'debian', codename: 'bookworm' }, [foreign, debian]);
  expect(bookworm?.targetSuite).toBe('bookworm-backports');
  expect(bookworm?.sources.map(sourceLine)).toEqual([
    'deb http://mirror.example/debian bookworm main',
    'deb http://mirror.example/debian bookworm-backports main',
  ]);
  const noble = { ...debian, suite: 'noble', signedBy: '/usr/share/keyrings/u.gpg' };
  const ubuntu = driverSources({ id: 'ubuntu', codename: 'noble' }, [noble]);
  expect(ubuntu?.targetSuite).toBe('noble');
  expect(ubuntu?.sources.map(sourceLine)).toEqual([
    'deb [signed-by=/usr/share/keyrings/u.gpg] http://mirror.example/debian noble main',
  ]);
  expect(driverSources({ id: 'debian', codename: 'trixie' }, [debian])).toBeUndefined();
  expect(driverSources({ id: 'alpine', codename: '' }, [])).toBeUndefined();
});
