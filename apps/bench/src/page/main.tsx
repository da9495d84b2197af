import { render } from 'preact';
import { palette } from '../report/style.ts';
import { open } from './client.ts';
import { App } from './components/app.tsx';

const style = document.createElement('style');
style.textContent = palette;
document.head.append(style);
const page = document.querySelector('#page');
if (page) {
  page.textContent = '';
  render(<App />, page);
}
void open();
