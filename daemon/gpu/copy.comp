#version 460
#extension GL_EXT_buffer_reference : require

// Copies `n` times 16 bytes; both addresses are multiples of 16.

#define THREADS 256

layout(local_size_x = THREADS) in;

layout(buffer_reference, std430, buffer_reference_align = 16) readonly restrict buffer From {
        uvec4 quads[];
};

layout(buffer_reference, std430, buffer_reference_align = 16) writeonly restrict buffer To {
        uvec4 quads[];
};

layout(push_constant, std430) uniform Push {
        From from;
        To to;
        layout(offset = 32) uint n;
};

void main() {
        for (uint i = gl_GlobalInvocationID.x; i < n; i += gl_NumWorkGroups.x * THREADS)
                to.quads[i] = from.quads[i];
}
