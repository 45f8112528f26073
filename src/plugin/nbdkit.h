// nbdkit's plugin header, for the files of this folder and no others.

#ifndef RAMDISK_PLUGIN_NBDKIT_H
#define RAMDISK_PLUGIN_NBDKIT_H

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#endif
