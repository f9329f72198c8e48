/** Initialises all parts of the page. */

import { startKeep } from './keep.js';
import { startModel } from './model.js';
import { startNavigation } from './navigation.js';
import { startTeach } from './teach.js';
import { startTheme } from './theme.js';
import { startTry } from './try.js';

startTheme();
startNavigation();
startTry();
startTeach();
startKeep();
void startModel();

// Without service workers, the page works, but not offline.
navigator.serviceWorker?.register('offline.js').catch(() => {});
