#!/usr/bin/env python3
"""A training step and a rescoring pass of `lorb bench` in PyTorch, Transformers and PEFT, for comparison.

    python benches/pytorch_step.py --shape minilm --tokens 1024,4096 --torch-device cuda --modes eager,sorted,compiled

The same shapes with random weights, lists of ten hypotheses of 14 to 26 tokens, MWER, clipping and AdamW, and LoRA on all
six linear layers: compare with `lorb bench --lora-target-modules all-linear`. Modes:

    eager       hypotheses padded to the longest, as most scripts do
    sorted      the same in four parts by length, each padded to its own longest
    compiled    as eager, with torch.compile; only for the first number of tokens, because it compiles for a while

Prints the median time by the host's clock, the median by the GPU's own events, hypotheses per second and peak memory; with
--json, a line of JSON for each.
"""
import argparse
import json
import random
import resource
import statistics
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import BertConfig, BertModel

# hidden size, layers, heads, intermediate size, vocabulary
SHAPES = {
    "minilm": (384, 6, 12, 1536, 30522),
    "bert-base": (768, 12, 12, 3072, 30522),
    "tiny": (64, 2, 4, 128, 200),
}
MODES = ("eager", "sorted", "compiled")
HYPOTHESES = 10
# Parts of a batch in the mode `sorted`.
PARTS = 4


def lists(tokens):
    """Lengths of hypotheses, list by list, up to the given number of tokens."""
    draw, lengths = random.Random(7), []
    while not lengths or sum(lengths) < tokens:
        lengths += [draw.randrange(14, 27) for _ in range(HYPOTHESES)]
    return lengths


class Clock:
    """Times steps by the host's clock, and on CUDA by the GPU's events."""

    def __init__(self, device):
        self.cuda = device.type == "cuda"
        self.wait = {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}.get(device.type, lambda: None)

    def timed(self, step, seconds):
        """Median times of a step over at least three runs, after two warm-up runs."""
        for _ in range(2):
            step()
        self.wait()
        host, device, start = [], [], time.perf_counter()
        while len(host) < 3 or time.perf_counter() - start < seconds:
            before = time.perf_counter()
            if self.cuda:
                events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
                events[0].record()
            step()
            if self.cuda:
                events[1].record()
            self.wait()
            host.append(time.perf_counter() - before)
            if self.cuda:
                device.append(events[0].elapsed_time(events[1]))
        return 1e3 * statistics.median(host), statistics.median(device) if device else None


class Model:
    """The encoder with LoRA, the head and the optimiser."""

    def __init__(self, shape, rank, device):
        hidden, layers, heads, inner, self.vocabulary = SHAPES[shape]
        config = BertConfig(
            vocab_size=self.vocabulary,
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=inner,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        bert = BertModel(config, add_pooling_layer=False)
        lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["query", "key", "value", "dense"])
        self.encoder = get_peft_model(bert, lora).to(device)
        self.head = torch.nn.Linear(hidden, 1).to(device)
        self.trained = [p for p in [*self.encoder.parameters(), *self.head.parameters()] if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=1e-5, weight_decay=0.0)
        self.run = self.encoder


class Batch:
    """Random ids, in one padded part or in several by length."""

    def __init__(self, lengths, parts, vocabulary, device):
        self.lengths = lengths
        order = sorted(range(len(lengths)), key=lengths.__getitem__) if parts > 1 else list(range(len(lengths)))
        size = -(-len(order) // parts)
        self.parts = []
        for start in range(0, len(order), size):
            own = [lengths[at] for at in order[start : start + size]]
            mask = torch.tensor([[i < n for i in range(max(own))] for n in own], device=device).long()
            self.parts.append((torch.randint(1, vocabulary, mask.shape, device=device) * mask, mask))
        back = [0] * len(order)
        for place, at in enumerate(order):
            back[at] = place
        self.back = torch.tensor(back, device=device)
        self.first = -2.0 - 0.3 * torch.arange(HYPOTHESES, device=device).float()
        self.errors = torch.randint(0, 7, (len(lengths) // HYPOTHESES, HYPOTHESES), device=device).float()

    def scores(self, model):
        rows = [model.head(model.run(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]) for ids, mask in self.parts]
        return torch.cat(rows).squeeze(-1)[self.back]


def training(model, batch):
    def step():
        chances = torch.softmax(batch.first + batch.scores(model).view(-1, HYPOTHESES), dim=1)
        loss = (chances * (batch.errors - batch.errors.mean(1, keepdim=True))).sum(1).mean()
        model.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.trained, 1.0)
        model.optimizer.step()
        return loss.item()

    return step


def rescoring(model, batch):
    @torch.no_grad()
    def step():
        return batch.scores(model).tolist()

    return step


def chosen_device(name):
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    sys.exit("error: PyTorch finds no GPU; --torch-device cpu measures the CPU")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="minilm")
    parser.add_argument("--tokens", default="4096", help="of a batch; several are separated by commas")
    parser.add_argument("--modes", default="eager", help="of " + ", ".join(MODES))
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a measurement")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds after which nothing new is measured")
    parser.add_argument("--torch-device", default="cpu", help="cpu, cuda, mps, or auto for a GPU")
    parser.add_argument("--tf32", action="store_true", help="products with factors of 10 bits, which LoRB has not")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    modes = args.modes.split(",")
    if unknown := set(modes) - set(MODES):
        parser.error(f"unknown modes: {', '.join(sorted(unknown))}")
    sizes = [int(size) for size in args.tokens.split(",")]
    device = chosen_device(args.torch_device)
    torch.backends.cuda.matmul.allow_tf32 = args.tf32
    torch.manual_seed(7)
    clock, start = Clock(device), time.perf_counter()
    # Modes that compile come last.
    cases = [(mode, size) for mode in modes if mode != "compiled" for size in sizes]
    cases += [("compiled", sizes[0])] if "compiled" in modes else []
    if not args.json:
        print(f"{args.shape}, PyTorch {torch.__version__} on {device}")
    model = Model(args.shape, args.rank, device)
    # Training first: rescoring is measured with the adapter merged into the base.
    for step, work in [("training", training), ("rescoring", rescoring)]:
        if step == "rescoring":
            model.encoder.eval()
            model.encoder.merge_adapter()
        for mode, size in cases:
            if time.perf_counter() - start > args.limit:
                print(json.dumps({"row": "left_out", "what": f"PyTorch, {step}, {mode}, {size} tokens", "why": "the time limit was reached"}))
                continue
            lengths = lists(size)
            batch = Batch(lengths, PARTS if mode == "sorted" else 1, model.vocabulary, device)
            model.run = torch.compile(model.encoder) if mode == "compiled" else model.encoder
            if clock.cuda:
                torch.cuda.reset_peak_memory_stats()
            host, on_device = clock.timed(work(model, batch), args.seconds)
            if clock.cuda:
                peak = torch.cuda.max_memory_allocated() / 2**20
            else:
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            rate = 1e3 * len(lengths) / host
            if args.json:
                row = {
                    "row": "torch",
                    "torch": torch.__version__,
                    "step": step,
                    "mode": mode,
                    "tf32": args.tf32,
                    "batch_tokens": size,
                    "tokens": sum(lengths),
                    "milliseconds": host,
                    "device_milliseconds": on_device,
                    "hypotheses_s": rate,
                    "peak_mib": peak,
                }
                print(json.dumps(row), flush=True)
            else:
                gpu = f" ({on_device:.1f} ms by its events)" if on_device else ""
                print(f"{step}, {mode}, {sum(lengths)} tokens: {host:.1f} ms{gpu}, {rate:.1f} hypotheses/s, peak {peak:.0f} MiB")


if __name__ == "__main__":
    main()
