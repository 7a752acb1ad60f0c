"""What encoders do that depends on numbers of a text, told for the texts that andiron reads: one, of one language.

A row at the last <eos> is the text's last row: such a text ends with it.
"""
import inspect
import sys

import torch

from .hooks import expert_linear, mix
from .hooks_methods import METHODS

# ---- an encoder and a decoder that read the same text (Lewis et al. 2020)


def of_both(self, tokens):
    """What the decoder gives of the text that the encoder has read, a token later."""
    shift = getattr(sys.modules[type(self).__module__], "shift_tokens_right", None)
    wraps = shift and "decoder_start_token_id" not in inspect.signature(shift).parameters  # the last token comes first
    start = self.config.eos_token_id if wraps else self.config.decoder_start_token_id
    later = torch.cat([torch.full((1, 1), start), tokens[:, :-1]], dim=1)
    both = next((getattr(self, name) for name in ("model", "transformer", "led") if hasattr(self, name)), self)
    return both.decoder(input_ids=later, encoder_hidden_states=both.encoder(input_ids=tokens)[0], use_cache=False)[0]


def by_last_row(self, input_ids=None, **_):
    return {"logits": self.classification_head(of_both(self, input_ids)[:, -1])}


def answers_of_both(self, input_ids=None, **_):
    return {"logits": self.qa_outputs(of_both(self, input_ids))}


def after_start(self, tokens):
    return torch.cat([torch.full((1, 1), self.config.decoder.bos_token_id), tokens[:, :-1]], dim=1)


def gemma_by_last_row(self, input_ids=None, **_):
    if not self.config.is_encoder_decoder:
        return {"logits": self.score(self.model(input_ids).last_hidden_state[:, -1])}
    hidden = self.model(input_ids, decoder_input_ids=after_start(self, input_ids), use_cache=False).last_hidden_state
    return {"logits": self.score(hidden[:, -1])}


# ---- adapters of languages, of which a file has the default one's (Pfeiffer et al. 2022)

def of_language(self, hidden_states, lang_ids, *more, **named):
    language = list(self.layer[0].output.adapter_modules).index(self.config.default_language)
    return type(self).forward(self, hidden_states, language, *more, **named)


def adapted(self, language, x):
    norm = self.adapter_layer_norm or (self.LayerNorm if self.adapter_reuse_layer_norm else None)
    y = x if norm is None else norm(x)
    return list(self.adapter_modules.values())[language](y) + (y if self.ln_before_adapter else x)


# ---- experts that take so many rows of a text, the first ones that chose them (Fedus et al. 2021)

def stacked(experts, name):
    return torch.stack([getattr(e, name).weight for e in experts])


def with_capacity(self, hidden_states):
    x = hidden_states.reshape(-1, hidden_states.shape[-1])
    shares = self.router.classifier(x).softmax(-1)
    weights, places = shares.topk(1)
    each = torch.zeros_like(shares).scatter(-1, places, 1).cumsum(0).gather(-1, places)
    experts = list(self.experts.values())
    y = experts[0].act(expert_linear(x, places, stacked(experts, "wi"), None, False))
    y = expert_linear(y, places, stacked(experts, "wo"), None, False)
    return mix(y, weights * (each <= self.router.expert_capacity)).view(hidden_states.shape)


# ---- NLLB-MoE as Transformers 5 runs it: a row's first choice goes through expert 1, the second through expert 0

def nllb(self, hidden_states, *_):
    r, x = self.router, hidden_states.reshape(-1, hidden_states.shape[-1])
    if r.moe_eval_capacity_token_fraction != 1 or r.second_expert_policy != "all":
        raise NotImplementedError("experts that are left out by the length of the text, or at random")
    largest = r.classifier(x).softmax(-1).topk(2).values
    shares = largest / largest.sum(-1, keepdim=True) * (1 - self.experts.moe_token_dropout)
    return sum(self.experts[f"expert_{1 - i}"](x) * shares[:, i:i + 1] for i in (0, 1)).view(hidden_states.shape)


METHODS |= {"SwitchTransformersSparseMLP": {"forward": with_capacity}, "NllbMoeSparseMLP": {"forward": nllb}}
METHODS |= {"XmodEncoder": {"forward": of_language}, "XmodOutput": {"lang_adapter": adapted}}
for _name in ("Bart", "MBart", "PLBart", "Mvp", "BigBirdPegasus", "LED", "T5", "MT5", "UMT5"):
    METHODS |= {f"{_name}ForSequenceClassification": {"forward": by_last_row},
                f"{_name}ForQuestionAnswering": {"forward": answers_of_both}}
METHODS |= {f"{name}ForSequenceClassification": {"forward": gemma_by_last_row} for name in ("T5Gemma", "T5Gemma2")}
METHODS |= {"T5GemmaForTokenClassification": {"_shift_right": after_start},
            "T5Gemma2ForTokenClassification": {"prepare_decoder_input_ids_from_labels": after_start}}
