/** Starts the parts of the page. */

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

// A browser without service workers, or one that forbids them, only lacks the page when offline.
navigator.serviceWorker?.register('offline.js').catch(() => {});
