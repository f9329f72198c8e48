#!/usr/bin/env python3
"""A training step and a rescoring pass of `lorb bench` in PyTorch, Transformers and PEFT, for comparison.

    python benches/pytorch_step.py --shape minilm --tokens 4096 --torch-device cuda

The same shapes with random weights, lists of ten hypotheses of 14 to 26 tokens, padded to the longest, MWER, clipping and
AdamW, and LoRA on all six linear layers. Prints the median time, hypotheses per second and peak memory.
"""
import argparse
import random
import resource
import statistics
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import BertConfig, BertModel

# hidden size, layers, heads, intermediate size
SHAPES = {"minilm": (384, 6, 12, 1536), "bert-base": (768, 12, 12, 3072)}
VOCABULARY = 30522
HYPOTHESES = 10


def lists(tokens):
    """Lengths of hypotheses, list by list, up to the given number of tokens."""
    draw, lengths = random.Random(7), []
    while not lengths or sum(lengths) < tokens:
        lengths += [draw.randrange(14, 27) for _ in range(HYPOTHESES)]
    return lengths


def timed(step, seconds, wait):
    """Median time of a step over at least three runs, after two warm-up runs."""
    for _ in range(2):
        step()
    wait()
    times, start = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        step()
        wait()
        times.append(time.perf_counter() - before)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="minilm")
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--torch-device", default="cpu")
    args = parser.parse_args()
    torch.manual_seed(7)
    hidden, layers, heads, inner = SHAPES[args.shape]
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    device = torch.device(args.torch_device)
    bert = BertModel(config, add_pooling_layer=False)
    lora = LoraConfig(r=args.rank, lora_alpha=16, target_modules=["query", "key", "value", "dense"])
    model = get_peft_model(bert, lora).to(device)
    head = torch.nn.Linear(hidden, 1).to(device)
    trained = [p for p in [*model.parameters(), *head.parameters()] if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, weight_decay=0.0)

    lengths = lists(args.tokens)
    longest = max(lengths)
    mask = torch.tensor([[i < n for i in range(longest)] for n in lengths], device=device).long()
    ids = torch.randint(1, VOCABULARY, mask.shape, device=device) * mask
    first = -2.0 - 0.3 * torch.arange(HYPOTHESES, device=device).float()
    errors = torch.randint(0, 7, (len(lengths) // HYPOTHESES, HYPOTHESES), device=device).float()

    def scores():
        return head(model(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]).squeeze(-1)

    def training():
        chances = torch.softmax(first + scores().view(-1, HYPOTHESES), dim=1)
        loss = (chances * (errors - errors.mean(1, keepdim=True))).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        return loss.item()

    @torch.no_grad()
    def rescoring():
        return scores().tolist()

    on_gpu = device.type == "cuda"
    wait = torch.cuda.synchronize if on_gpu else lambda: None
    print(f"{args.shape}, {len(lengths)} hypotheses, {sum(lengths)} tokens, PyTorch {torch.__version__} on {device}")
    for name, step, merged in [("training", training, False), ("rescoring", rescoring, True)]:
        if merged:
            model.eval()
            model.merge_adapter()
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        seconds = timed(step, args.seconds, wait)
        if on_gpu:
            peak = torch.cuda.max_memory_allocated() / 2**20
        else:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name}: {1e3 * seconds:.0f} ms, {len(lengths) / seconds:.1f} hypotheses/s, peak {peak:.0f} MiB")


if __name__ == "__main__":
    main()
