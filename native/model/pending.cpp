namespace gonka {
int model_anchor;
}
