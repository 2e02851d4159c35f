/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/virtctl/virtctl.h"

int main(int argc, char **argv)
{
	return virtctl_main(argc, argv);
}
