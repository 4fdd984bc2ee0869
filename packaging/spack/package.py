# Spack recipe. Not run here: there is no Spack on the machine that Coppice is built on. The names of the packages
# are those that configure tells for Spack; the syntax is that of Spack 0.22.
#   spack repo create coppice-repo && cp package.py coppice-repo/packages/coppice/ && spack repo add coppice-repo
#   spack install --test=root coppice %gcc ^openmpi
from spack.package import *


class Coppice(AutotoolsPackage):
    """Upcycles a dense Llama-family model into a mixture of experts and trains it: C, MPI, HDF5."""

    homepage = "https://example.org/coppice"
    # A release tarball in the current folder, or on a mirror of your own.
    url = "file:///path/to/coppice-0.1.0.tar.gz"
    license("Apache-2.0")

    # make dist prints no checksum: sha256sum coppice-0.1.0.tar.gz
    version("0.1.0", sha256="0" * 64)

    variant("cuda", default=False, description="Build the CUDA device in")
    variant("onednn", default=True, description="Matrix products by oneDNN, else by any CBLAS")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("mpi")
    depends_on("hdf5")
    depends_on("libyaml")
    depends_on("jansson")
    depends_on("xxhash")
    depends_on("pcre2")
    depends_on("utf8proc")
    depends_on("zlib-api")
    depends_on("zstd")
    depends_on("onednn", when="+onednn")
    depends_on("blas", when="~onednn")
    depends_on("cuda@12:", when="+cuda")
    depends_on("nccl", when="+cuda")

    def configure_args(self):
        spec = self.spec
        args = ["CC=" + spec["mpi"].mpicc]
        for option, package in {
            "hdf5": "hdf5", "yaml": "libyaml", "jansson": "jansson", "xxhash": "xxhash",
            "pcre2": "pcre2", "utf8proc": "utf8proc", "zstd": "zstd",
        }.items():
            args.append("--with-{0}={1}".format(option, spec[package].prefix))
        args.append("--with-zlib=" + spec["zlib-api"].prefix)
        if "+onednn" in spec:
            args.append("--with-dnnl=" + spec["onednn"].prefix)
        else:
            args += ["--without-dnnl", "CBLAS_LIBS=" + spec["blas"].libs.ld_flags]
        if "+cuda" in spec:
            args += ["--with-cuda=" + spec["cuda"].prefix, "--with-nccl=" + spec["nccl"].prefix]
        else:
            args.append("--without-cuda")
        return args

    def check(self):
        make("check", parallel=False)

    def installcheck(self):
        make("installcheck")
