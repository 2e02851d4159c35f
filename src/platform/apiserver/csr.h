/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/csr.h - who asked for a certificate, and who may say that he gets it. Signing is signer.h. */
#pragma once

struct op;
/* The draft of a CertificateSigningRequest: spec says who asked, whatever the client wrote, and stays; approval and status
 * take their own part, from those with the verbs approve and sign on the signer. 0 or -1 with op->err. */
int csr_prepare(struct op *op);
