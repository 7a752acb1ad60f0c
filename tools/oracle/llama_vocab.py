"""A GGUF's vocabulary as llama.cpp reads it (llama-cpp-python). Development only."""
import ctypes

import llama_cpp

llama_cpp.llama_backend_init()
_silent = llama_cpp.llama_log_callback(lambda level, text, user: None)
llama_cpp.llama_log_set(_silent, ctypes.c_void_p(0))


class LlamaVocab:
    def __init__(self, path):
        parameters = llama_cpp.llama_model_default_params()
        parameters.vocab_only = True
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
        if not self.model:
            raise ValueError(f"llama.cpp cannot read {path}")
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.n_tokens = llama_cpp.llama_vocab_n_tokens(self.vocab)
        self.pieces = {}
        self.puts_space = self.piece(self.tokenize(b"a", False)[0])[:1] == b" "

    def tokenize(self, text, special, bos=False):
        room = (llama_cpp.llama_token * (len(text) * 3 + 16))()
        n = llama_cpp.llama_tokenize(self.vocab, text, len(text), room, len(room), bos, special)
        assert n >= 0
        return room[:n]

    def piece(self, token):
        if token not in self.pieces:
            room = ctypes.create_string_buffer(4096)
            n = llama_cpp.llama_token_to_piece(self.vocab, token, room, len(room), 0, True)
            self.pieces[token] = room.raw[:max(n, 0)]
        return self.pieces[token]

    def is_control(self, token):
        kinds = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
        return bool(llama_cpp.llama_vocab_get_attr(self.vocab, token) & kinds)

    def is_whole(self, token):
        whole = (llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED |
                 llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN)
        return bool(llama_cpp.llama_vocab_get_attr(self.vocab, token) & whole)

    def text(self, tokens):
        """What `tokens` stand for, without the spaces that some vocabularies put in front."""
        out, in_front = [], self.puts_space
        for token in tokens:
            piece = self.piece(token)
            whole = self.is_whole(token)
            out.append(piece[1:] if in_front and not whole and piece[:1] == b" " else piece)
            in_front = whole and self.puts_space
        return b"".join(out)

    def ends(self):
        return [i for i in range(self.n_tokens) if llama_cpp.llama_vocab_is_eog(self.vocab, i)]

    def spellings(self):
        """Of some tokens that are matched as wholes."""
        attributes = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED
        found = [self.piece(i) for i in range(self.n_tokens)
                 if llama_cpp.llama_vocab_get_attr(self.vocab, i) & attributes]
        return [x.decode("utf-8", "replace") for x in found[:: len(found) // 150 + 1]]
