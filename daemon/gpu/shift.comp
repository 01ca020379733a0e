#version 460
#extension GL_EXT_buffer_reference : require

// Copies `n` times 4 bytes to a multiple of 4, from `shift` bytes (0 to 3) behind one. Reads no word in which
// there is no byte to copy.

#define THREADS 256
#define TILE    (4 * THREADS)

layout(local_size_x = THREADS) in;

layout(buffer_reference, std430, buffer_reference_align = 4) readonly restrict buffer From {
        uint words[];
};

layout(buffer_reference, std430, buffer_reference_align = 4) writeonly restrict buffer To {
        uint words[];
};

layout(push_constant, std430) uniform Push {
        From from;
        To to;
        layout(offset = 32) uint n;
        uint shift;
};

uint load(uint i) {
        uint word = from.words[i];

        if (shift != 0)
                word = word >> 8 * shift | from.words[i + 1] << 32 - 8 * shift;
        return word;
}

void main() {
        uint thread = gl_LocalInvocationID.x;
        uint begin = gl_WorkGroupID.x * TILE;

        for (; begin + TILE <= n; begin += gl_NumWorkGroups.x * TILE) {
                uint i = begin + thread;
                uint a = load(i);
                uint b = load(i + THREADS);
                uint c = load(i + 2 * THREADS);
                uint d = load(i + 3 * THREADS);

                to.words[i] = a;
                to.words[i + THREADS] = b;
                to.words[i + 2 * THREADS] = c;
                to.words[i + 3 * THREADS] = d;
        }
        for (uint i = begin + thread; i < min(n, begin + TILE); i += THREADS)
                to.words[i] = load(i);
}
